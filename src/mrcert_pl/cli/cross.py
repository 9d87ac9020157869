"""``mrcert cross``: two evaluations check each other (CrossCert)."""

from pathlib import Path

from mrcert_pl.cli import usage
from mrcert_pl.cli.app import failing_plainly

_ABOUT = """Let two defenders check each other (CrossCert): the label of the first, and an alert where the second has
another one. Both are evaluations of the same images for the same patch; their verdicts are all that is read."""
_EXAMPLES = """examples:
  mrcert cross outputs/eval/.../A outputs/eval/.../B                a masking and a voting defender, say
  mrcert cross outputs/eval/.../A outputs/eval/.../B --json c.json  the counts as a file
  mrcert eval table=TABLES defender=mrcert_cascade                  makes such an evaluation from stored tables
"""


def main() -> None:
    """Cross-check two evaluations."""
    parser = usage.parser("cross", _ABOUT, _EXAMPLES)
    parser.add_argument("first", type=Path, help="folder of an evaluation; its labels are returned")
    parser.add_argument("second", type=Path, help="folder of an evaluation that checks them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the counts")
    options = parser.parse_args()
    with failing_plainly():
        from mrcert_pl.results.cross import cross_result, cross_verdicts
        from mrcert_pl.results.runs import one_run
        from mrcert_pl.views.terminal import show_cross

        runs = one_run(options.first), one_run(options.second)
        result = cross_result(*runs, cross_verdicts(*runs))
        if options.json is not None:
            result.write(options.json)
        show_cross(result)


if __name__ == "__main__":
    main()
