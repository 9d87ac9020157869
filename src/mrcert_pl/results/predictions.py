"""Verdicts on images at run time, as JSON lines and CSV while they are made."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcert_pl.guard.verdict import GuardVerdict


@dataclass(frozen=True)
class Prediction:
    """What became of one image file.

    Attributes:
        image: Path of the file.
        verdict: The verdict; ``None`` for an unreadable file.
        error: Why the file is unreadable.
    """

    image: str
    verdict: GuardVerdict | None = None
    error: str | None = None

    @classmethod
    def of(cls, file: Path, outcome: GuardVerdict | Exception) -> "Prediction":
        """The prediction of an outcome of ``Guard.each``."""
        if isinstance(outcome, GuardVerdict):
            return cls(str(file), outcome)
        return cls(str(file), error=str(outcome))

    def row(self) -> dict[str, Any]:
        """Plain values by column; null where there is no verdict."""
        verdict = dict.fromkeys(GuardVerdict.columns()) if self.verdict is None else self.verdict.to_json()
        return {**verdict, "image": self.image, "error": self.error}


class PredictionFiles:
    """``verdicts.jsonl`` and ``verdicts.csv`` in a folder; every row is on disk from the moment it was added.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.lines = folder / "verdicts.jsonl"
        self.table = folder / "verdicts.csv"

    def __enter__(self) -> "PredictionFiles":
        self._lines = self.lines.open("w", encoding="utf-8")
        self._table = self.table.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._table, [*GuardVerdict.columns(), "error"])
        self._writer.writeheader()
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.close()
        self._table.close()

    def add(self, prediction: Prediction) -> None:
        """Write a prediction; lists are JSON in the CSV."""
        row = prediction.row()
        self._lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._writer.writerow({name: _cell(value) for name, value in row.items()})
        self._lines.flush()
        self._table.flush()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, (bool, list, tuple)) else value
