"""Tables of docs/leaderboard.md, from one JSON file per row in docs/leaderboard/:  python docs/make_leaderboard.py."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field

from mrcert_pl.plain import FieldError, Record, checked_json
from mrcert_pl.results.statistics import wilson

DOCS = Path(__file__).parent
START, END = "<!-- rows -->\n", "<!-- end of rows -->\n"

# One line that cannot end a cell of a table or start markup.
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^|<>`\n]+$")]
Percentage = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
DataSet: TypeAlias = Literal["ImageNet", "ImageNette", "CIFAR-10", "digits"]
Link = Annotated[str, Field(pattern=r"^(https://[\w./#?=&%~-]+|[a-z]+\.md#[\w-]+)$")]


@dataclass(frozen=True)
class Reported(Record):
    """Percentages that somebody published.

    Attributes:
        source: Publication and, where it has several figures, the place in it.
        link: Where the figures are.
        clean: Clean accuracy of the defended model.
        certified: Certified accuracy (recovery).
        detection: Certified detection accuracy or, if the note says so, certified ratio.
        round_trip: Round-trip certified accuracy.
    """

    source: Text
    link: Link | None = None
    clean: Percentage | None = None
    certified: Percentage | None = None
    detection: Percentage | None = None
    round_trip: Percentage | None = None

    def __post_init__(self) -> None:
        _check_order(self)

    def cell(self, value: float | None) -> str:
        """One percentage, as published."""
        return "" if value is None else f"{value:g}"

    def origin(self, file: str) -> str:
        """Where the figures come from."""
        return f"reported: {self.source if self.link is None else f'[{self.source}]({self.link})'}"


@dataclass(frozen=True)
class Measured(Record):
    """Numbers of images, from a command that everybody can run.

    Attributes:
        command: Command of the evaluation; the linked text has those of the training.
        link: Where data, training and precision are described.
        n: Number of images.
        seeds: Seeds of the training and the choice of the images.
        precision: Precision of the evaluation.
        clean, certified, detection, round_trip: Numbers of images, as in :class:`Reported`.
    """

    command: Annotated[str, Field(pattern=r"^(mrcert|python) [^|<>`\n]+$", max_length=600)]
    link: Link
    n: Annotated[int, Field(ge=1)]
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)]
    precision: Text
    clean: Count | None = None
    certified: Count | None = None
    detection: Count | None = None
    round_trip: Count | None = None

    def __post_init__(self) -> None:
        _check_order(self)
        for name in FIGURES:
            if (count := getattr(self, name)) is not None and count > self.n:
                raise FieldError(name, f"must be at most n = {self.n}, got {count}")

    def cell(self, value: int | None) -> str:
        """One percentage with its number of images and Wilson's 95 % interval."""
        if value is None:
            return ""
        low, high = wilson(value, self.n)
        return f"{100 * value / self.n:.1f} ({value}; {100 * low:.0f} to {100 * high:.0f})"

    def origin(self, file: str) -> str:
        """Where the figures come from; the file of the row has the command."""
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        return f"[measured here]({self.link}): n = {self.n}, {seeds}, {self.precision}, [command]({file})"


FIGURES = ("clean", "certified", "detection", "round_trip")


@dataclass(frozen=True)
class Row(Record):
    """One system against one patch on one data set: one file.

    Attributes:
        method: Defender with the settings that matter.
        dataset: Data set whose test images were certified.
        patch: Size of the patch.
        backbone: Base model; none if the source does not name it.
        cost: Mutants, operations or speed, with unit and machine.
        note: What a reader must know to compare the row.
        reported, measured: The figures; exactly one of the two.
    """

    method: Text
    dataset: DataSet
    patch: Text
    backbone: Text | None = None
    cost: Text | None = None
    note: Text | None = None
    reported: Reported | None = None
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if (self.reported is None) == (self.measured is None):
            raise FieldError("reported", "must be given or measured must be, not both; a row has one origin")
        if all(getattr(self.figures, name) is None for name in FIGURES):
            raise FieldError("reported" if self.reported else "measured", f"must have one of {', '.join(FIGURES)}")

    @property
    def figures(self) -> Reported | Measured:
        """The figures with their origin."""
        found = self.reported or self.measured
        assert found is not None
        return found


def _check_order(figures: Reported | Measured) -> None:
    """Check that a round trip implies a certificate, and a certificate a correct label."""
    known = [
        (name, value) for name in ("round_trip", "certified", "clean") if (value := getattr(figures, name)) is not None
    ]
    for (smaller, low), (larger, high) in pairwise(known):
        if low > high:
            raise FieldError(smaller, f"must be at most {larger} = {high:g}, got {low:g}")


def main() -> None:
    """Write the tables into the page."""
    try:
        rows = read_rows(DOCS / "leaderboard")
    except FieldError as error:
        sys.exit(f"error: {error}")
    page = DOCS / "leaderboard.md"
    before, rest = page.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    page.write_text(f"{before}{START}\n{tables(rows)}\n{END}{after}", encoding="utf-8")


def read_rows(folder: Path) -> dict[str, Row]:
    """Read all rows, by the names of their files.

    Raises:
        FieldError: For a file that is not a row; names the file and the field.
    """
    rows = {}
    for file in sorted(folder.glob("*.json")):
        try:
            rows[file.name] = checked_json(Row, file.read_bytes())
        except FieldError as error:
            raise FieldError(f"docs/leaderboard/{file.name}", str(error)) from error
    return rows


def tables(rows: Mapping[str, Row]) -> str:
    """Return one table for each data set and patch size, the highest certified accuracy first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, row in rows.items():
        groups.setdefault((row.dataset, row.patch), []).append(name)
    order = get_args(DataSet)
    parts = []
    for dataset, patch in sorted(groups, key=lambda group: (order.index(group[0]), group[1])):
        names = sorted(groups[dataset, patch], key=lambda name: _rank(rows[name]))
        body = "\n".join(_line(rows[name], f"leaderboard/{name}") for name in names)
        # The blank lines make Markdown of what stands between the tags.
        parts.append(f'### {dataset}, {patch}\n\n<div class="sortable" markdown>\n\n{_HEAD}\n{body}\n\n</div>\n')
    return "\n".join(parts)


_HEAD = (
    "| method | backbone | clean | certified | detection | round trip | cost | origin |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
)


def _line(row: Row, file: str) -> str:
    method = row.method if row.note is None else f"{row.method}. {row.note}"
    figures = [row.figures.cell(getattr(row.figures, name)) for name in FIGURES]
    cells = [method, row.backbone or "not stated", *figures, row.cost or "", row.figures.origin(file)]
    return f"| {' | '.join(cells)} |"


def _rank(row: Row) -> tuple[float, float, str, str]:
    whole = 100 if row.measured is None else row.measured.n
    certified, detection = ((getattr(row.figures, name) or 0) / whole for name in ("certified", "detection"))
    return -certified, -detection, row.method, row.backbone or ""


if __name__ == "__main__":
    main()
