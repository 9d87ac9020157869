"""``mrcert report``: results of earlier evaluations, side by side."""

import argparse
from pathlib import Path

from mrcert_pl.cli.app import explain, fail
from mrcert_pl.errors import MRCertError, ResultsError


def main() -> None:
    """Print the table of all results at or below some paths."""
    parser = argparse.ArgumentParser(prog="mrcert report", description="Show the results of evaluations as one table.")
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        default=[Path("outputs")],
        help="results.json files or folders (default: outputs)",
    )
    paths = parser.parse_args().paths
    from mrcert_pl.reporting import find_results, read_results, show

    try:
        results = [result for file in find_results(paths) if "defender" in (result := read_results(file))]
        if not results:
            raise ResultsError(f"there are no evaluations in {', '.join(map(str, paths))}; python eval.py makes them")
    except MRCertError as error:
        fail(str(explain(error)))
    show(results)


if __name__ == "__main__":
    main()
