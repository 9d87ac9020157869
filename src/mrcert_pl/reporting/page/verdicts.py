"""What the page says of single verdicts: Cases, places, examples."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcert_pl.reporting.locations import Locations, read_locations
from mrcert_pl.reporting.page.maps import limits_of, location_map
from mrcert_pl.reporting.page.parts import Section, Table
from mrcert_pl.reporting.page.plots import cases
from mrcert_pl.reporting.page.svg import Picture, data_uri
from mrcert_pl.reporting.pictures import examples, kind_of
from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import grouped

# Pictures of a page; it would grow by about 50 kB with each further one.
_EXAMPLES = 24

_CASES = [
    "The step of the defender's rule that gave the label. MRCert: Case 1, all mutants with two masks agree with the "
    "image; Cases 2 and 3, those around a witness of one or two masks; Case 4, no witness. Cascade: Case 1, a witness "
    "against two patches; Case 2, against one; Case 3, none. PatchCURE: Case 1, all labels with one mask agree; "
    "Case 2, a dissenting mask that no second one changes; Case 3, neither."
]
_PLACES = [
    "Of how many images the label is right and no patch centred at a place can change it. Certified accuracy asks for "
    "all places at once, so no place has less. Fine lines: a patch that ends with a window touches one window less."
]


def case_section(runs: Mapping[str, Run]) -> Section | None:
    """How often each Case gave the label, and how many of those images are certified; by the names of runs."""
    rows = {name: run.verdicts() for name, run in runs.items()}
    counts = {name: Counter(row["case"] for row in of) for name, of in rows.items()}
    several = {name for name, count in counts.items() if len(count) > 1}
    if not several:
        return None
    known = sorted({case for name in several for case in counts[name]})
    certified = {name: Counter(row["case"] for row in rows[name] if _counts(row)) for name in several}
    table = Table(
        "Number of images by Case, and how many of them are rightly labelled and certified",
        ["evaluation", *(f"Case {case}" for case in known)],
        [
            [
                name,
                *(f"{counts[name][case]} ({certified[name][case]})" if counts[name][case] else "0" for case in known),
            ]
            for name in runs
            if name in several
        ],
    )
    return Section("Cases", _CASES, [table], [cases({name: rows[name] for name in runs if name in several})])


def place_section(runs: Mapping[str, Run]) -> Section | None:
    """Where on the image certificates hold, for the runs that left a map; on the same images with the same colours."""
    maps: dict[str, Locations] = {
        name: read_locations(file) for name, run in runs.items() if (file := run.folder / "locations.npz").exists()
    }
    if not maps:
        return None
    pictures = []
    for same in grouped([{**runs[name].result, "name": name} for name in maps], "dataset", "model", "n"):
        names = [result["name"] for result in same]
        limits = limits_of([maps[name] for name in names])
        pictures += [
            location_map(maps[name], shape, name, limits) for name in names for shape in range(len(maps[name].counts))
        ]
    return Section("Where certificates hold", _PLACES, pictures=pictures, size="small")


def example_section(runs: Mapping[str, Run]) -> Section | None:
    """The pictures that runs have drawn, of every kind of verdict in turn, each with its verdict in words."""
    drawn = {name: files for name, run in runs.items() if (files := list(run.folder.glob("pictures/*.png")))}
    if not drawn:
        return None
    each = max(1, _EXAMPLES // len(drawn))
    pictures = []
    for name, files in drawn.items():
        by_id = {file.stem: file for file in files}
        rows = [row for row in runs[name].verdicts() if str(row["id"]) in by_id]
        pictures += [_example(by_id[str(row["id"])], name, row) for row in examples(rows, each)]
    text = ["What the witness of a verdict sees, and where a patch can't change the label."]
    if (available := sum(map(len, drawn.values()))) > len(pictures[:_EXAMPLES]):
        text.append(f"{len(pictures[:_EXAMPLES])} of {available} pictures; the others lie in pictures/ of each run.")
    return Section("Examples", text, pictures=pictures[:_EXAMPLES], size="own")


def _example(file: Path, name: str, row: Mapping[str, Any]) -> Picture:
    words = f"{name}, image {row['id']}: {kind_of(row)}, Case {row['case']}"
    if row["certified_fraction"] is not None:
        words += f", safe at {row['certified_fraction']:.0%} of the places"
    return Picture(data_uri(file.read_bytes(), "image/png"), f"Picture of a verdict. {words}.", words)


def _counts(row: Mapping[str, Any]) -> bool:
    return row["prediction"] == row["label"] and bool(row["certified"])
