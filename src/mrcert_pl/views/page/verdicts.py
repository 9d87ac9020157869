"""Single verdicts on the page: Cases, locations, examples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrcert_pl.results.kinds import choose, kind_of
from mrcert_pl.results.labels import grouped
from mrcert_pl.results.runs import EvaluationRun
from mrcert_pl.results.schema import VerdictRow
from mrcert_pl.views.drawing import EmbeddedImage, data_uri
from mrcert_pl.views.page.maps import limits_of, location_map
from mrcert_pl.views.page.parts import Section, Table
from mrcert_pl.views.page.plots import cases
from mrcert_pl.views.words import whole_percent

# Images of a page; each adds about 50 kB to it.
_EXAMPLES = 24

_CASES = [
    "The step of the defender's rule that gave the label. MRCert: Case 1, all mutants with two masks agree with the "
    "image; Cases 2 and 3, those around a witness of one or two masks; Case 4, no witness. Cascade: Case 1, a witness "
    "against two patches; Case 2, against one; Case 3, none. PatchCURE: Case 1, all labels with one mask agree; "
    "Case 2, a dissenting mask that no second one changes; Case 3, neither."
]
_LOCATIONS = [
    "The percentage of images that are classified correctly and whose label no patch centred at a location can change. "
    "Certified accuracy requires all locations at once, so every location has at least that. Fine lines: a patch that "
    "ends with a window touches one window less."
]

Verdicts = Mapping[str, Sequence[VerdictRow]]


def case_section(verdicts: Verdicts) -> Section | None:
    """How often each Case gave the label, and how many of those images are certified; by the names of runs."""
    counts = {name: Counter(row.case for row in rows) for name, rows in verdicts.items()}
    several = [name for name, count in counts.items() if len(count) > 1]
    if not several:
        return None
    known = sorted({case for name in several for case in counts[name]})
    certified = {name: Counter(row.case for row in verdicts[name] if row.correct_and_certified) for name in several}
    table = Table(
        "Number of images by Case, and how many of them are classified correctly and certified",
        ["evaluation", *(f"Case {case}" for case in known)],
        [
            [
                name,
                *(f"{counts[name][case]} ({certified[name][case]})" if counts[name][case] else "0" for case in known),
            ]
            for name in several
        ],
    )
    return Section("Cases", _CASES, [table], [cases({name: verdicts[name] for name in several})])


def location_section(runs: Mapping[str, EvaluationRun]) -> Section | None:
    """Where on the image certificates hold, for runs with a map; on the same images with the same colours."""
    maps = {name: found for name, run in runs.items() if (found := run.locations()) is not None}
    if not maps:
        return None
    images = []
    results = [runs[name].result for name in maps]
    for names in grouped(list(maps), [[r.dataset, r.model, r.n] for r in results]):
        limits = limits_of([maps[name] for name in names])
        images += [
            location_map(maps[name], shape, name, limits) for name in names for shape in range(len(maps[name].counts))
        ]
    return Section("Where certificates hold", _LOCATIONS, images=images, size="small")


def example_section(runs: Mapping[str, EvaluationRun], verdicts: Verdicts) -> Section | None:
    """The images that runs have drawn, of every kind of verdict in turn, each with its verdict in words."""
    drawn = {name: files for name, run in runs.items() if (files := run.drawings())}
    if not drawn:
        return None
    each = max(1, _EXAMPLES // len(drawn))
    images = []
    for name, files in drawn.items():
        rows = [row for row in verdicts[name] if row.id in files]
        images += [_example(files[row.id], name, row) for row in choose(rows, each)]
    shown = images[:_EXAMPLES]
    text = ["The witness of a verdict, or the mutant that raises an alert, and where a patch cannot change the label."]
    if (available := sum(map(len, drawn.values()))) > len(shown):
        text.append(f"{len(shown)} of {available} images; the others lie in the folder of each run.")
    return Section("Examples", text, images=shown, size="own")


def _example(file: Path, name: str, row: VerdictRow) -> EmbeddedImage:
    words = f"{name}, image {row.id}: {kind_of(row)}, Case {row.case}"
    if row.certified_fraction is not None:
        words += f", safe at {whole_percent(row.certified_fraction)} of the locations"
    return EmbeddedImage(data_uri(file.read_bytes(), "image/png"), f"Drawing of a verdict. {words}.", words)
