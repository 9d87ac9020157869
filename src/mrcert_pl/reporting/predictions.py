"""Verdicts on images at run time: as JSON lines and CSV while they are made, and as a table on the terminal."""

import csv
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

_COLOURS = {"accept": "green", "recovered": "yellow", "abstain": "red"}
_UNREADABLE = "unreadable"
# The files have all of them.
_MOST_ROWS = 20


class PredictionFiles:
    """``verdicts.jsonl`` and ``verdicts.csv`` in a folder, with every row that was added whatever comes after it.

    Args:
        folder: of the files.
        columns: names of the fields, in their order; those that a row lacks are null, or empty.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.lines = folder / "verdicts.jsonl"
        self.table = folder / "verdicts.csv"

    def __enter__(self) -> "PredictionFiles":
        self._lines = self.lines.open("w", encoding="utf-8")
        self._table = self.table.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._table, self.columns)
        self._writer.writeheader()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._table.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row; lists stand in the CSV as JSON."""
        row = {name: row.get(name) for name in self.columns}
        self._lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._writer.writerow({name: _cell(value) for name, value in row.items()})
        self._lines.flush()
        self._table.flush()


def summary_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many images there were of each decision, and what the verdicts took, in words."""
    counts = Counter(_decision(row) for row in rows)
    parts = [f"{counts[name]} {name}" for name in (*_COLOURS, _UNREADABLE) if counts[name]]
    text = f"{len(rows)} image{'' if len(rows) == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")
    read = [row for row in rows if not row.get("error")]
    if read:
        mutants, seconds = (sum(row[name] for row in read) / len(read) for name in ("mutants_evaluated", "seconds"))
        text += f" ({mutants:.0f} mutants, {seconds:.2f} s per image)"
    return text


def predictions_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The first rows, a line each; their paths without the folder that all of them are in."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("image", overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("decision", no_wrap=True)
    for heading in ("patches", "case", "hidden", "safe"):
        table.add_column(heading, justify="right", no_wrap=heading != "hidden")
    # Those of a list may be relative and absolute.
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(row["image"])) for row in rows])
    for row in rows[:_MOST_ROWS]:
        image = Text(os.path.relpath(row["image"], folder))
        if row.get("error"):
            table.add_row(image, "", Text(_UNREADABLE, style="red"))
            continue
        fraction, patches, witness = row["certified_fraction"], row["certified_patches"], row["witness"]
        table.add_row(
            image,
            Text(row["name"]),
            Text(_decision(row), style=_COLOURS.get(_decision(row), "")),
            "" if patches is None else str(max(patches, 0)),
            str(row["case"]),
            "" if witness is None else _numbers(witness),
            "" if fraction is None else f"{fraction:.0%}",
        )
    if len(rows) > _MOST_ROWS:
        table.add_row(f"and {len(rows) - _MOST_ROWS} more", style="dim")
    return table


def _decision(row: Mapping[str, Any]) -> str:
    return _UNREADABLE if row.get("error") else row["decision"] or "-"


def _numbers(windows: Sequence[int]) -> str:
    """Numbers with their runs written as such: ``3-5, 9``; ``none`` if there are none."""
    runs: list[list[int]] = []
    for window in windows:
        if runs and window == runs[-1][1] + 1:
            runs[-1][1] = window
        else:
            runs.append([window, window])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "none"


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, (bool, list, tuple)) else value
