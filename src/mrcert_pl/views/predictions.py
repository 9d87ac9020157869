"""Verdicts of the guard: a table on the terminal, and figures."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from mrcert_pl.results.examples import pixels_of
from mrcert_pl.results.predictions import Prediction
from mrcert_pl.views.figures import ALERTED, WITNESSED, draw_verdict
from mrcert_pl.views.words import printable, whole_percent

# Wider than any row.
_ANY = 10_000
# The files have all of them.
_MOST_ROWS = 20
_COLOURS = {"accept": "green", "recovered": "yellow", "alert": "magenta", "abstain": "red"}
_UNREADABLE = "unreadable"


_LEGEND = "hidden: windows that the witness hides, where a patch may be; safe: locations where one more has no effect"
_ALERTS = "hidden in the alert: top, left, bottom, right in px of what the first mutant that raises it hides"


def show_predictions(predictions: Sequence[Prediction], meaning: str, console: Console | None = None) -> None:
    """Print a table of predictions, their summary and a legend."""
    # In a file or a pipe no name is broken into lines.
    console = console or (Console() if sys.stdout.isatty() else Console(width=_ANY))
    console.print(predictions_table(predictions))
    console.print(predictions_summary(predictions), style="bold", highlight=False)
    alerts = _of_detector(predictions)
    if alerts or any(each.verdict is not None and each.verdict.certified_patches is not None for each in predictions):
        for line in (meaning, _ALERTS if alerts else _LEGEND):
            console.print(line, style="dim", highlight=False, markup=False)


def draw_prediction(path: Path, image: Tensor, prediction: Prediction) -> Path:
    """Draw an image as the model sees it, with what its witness or alert hides and where a further patch has no effect.

    Args:
        path: PNG file.
        image: ``[3, height, width]`` in [0, 1].
        prediction: its verdict.
    """
    verdict, pixels = prediction.verdict, pixels_of(image)
    assert verdict is not None
    hidden = np.zeros(pixels.shape[:2], dtype=bool)
    for top, left, bottom, right in verdict.alert_px or verdict.witness_px or ():
        hidden[top:bottom, left:right] = True
    title = f"{verdict.decision or 'label'}: {verdict.name}"
    if verdict.certified_patches is not None:
        title += f" (further patches that can't change it: {max(verdict.certified_patches, 0)})"
    maps = [each.numpy() for each in verdict.maps]
    mutant = ALERTED if verdict.alert_px else WITNESSED
    return draw_verdict(path, pixels, title, hidden if hidden.any() else None, maps, mutant)


def predictions_table(predictions: Sequence[Prediction]) -> Table:
    """Return a table of the first predictions; their paths are relative to the folder that holds all of them."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("image", overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("decision", no_wrap=True)
    alerts = _of_detector(predictions)
    for heading in ("hidden in the alert",) if alerts else ("patches", "case", "hidden", "safe"):
        table.add_column(heading, justify="right", no_wrap=heading in ("patches", "case", "safe"))
    # Paths of one list may be relative and absolute.
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(each.image)) for each in predictions])
    for prediction in predictions[:_MOST_ROWS]:
        image = Text(printable(os.path.relpath(prediction.image, folder)))
        verdict = prediction.verdict
        if verdict is None:
            table.add_row(image, "", Text(_UNREADABLE, style="red"))
            continue
        facts = (
            image,
            Text(printable(verdict.name)),
            Text(_decision(prediction), style=_COLOURS.get(_decision(prediction), "")),
        )
        if alerts:
            table.add_row(*facts, "; ".join(", ".join(map(str, box)) for box in verdict.alert_px or ()))
            continue
        table.add_row(
            *facts,
            "" if verdict.certified_patches is None else str(max(verdict.certified_patches, 0)),
            str(verdict.case),
            "" if verdict.witness is None else _ranges(verdict.witness),
            "" if verdict.certified_fraction is None else whole_percent(verdict.certified_fraction),
        )
    if (more := len(predictions) - _MOST_ROWS) > 0:
        table.add_row(f"and {more} more", style="dim")
    return table


def predictions_summary(predictions: Sequence[Prediction]) -> str:
    """Numbers of images by decision, and the mean cost of a verdict."""
    counts = Counter(map(_decision, predictions))
    parts = [f"{counts[name]} {name}" for name in (*_COLOURS, _UNREADABLE) if counts[name]]
    plural = "" if len(predictions) == 1 else "s"
    text = f"{len(predictions)} image{plural}" + (f": {', '.join(parts)}" if parts else "")
    verdicts = [each.verdict for each in predictions if each.verdict is not None]
    if verdicts:
        mutants = sum(verdict.mutants_evaluated for verdict in verdicts) / len(verdicts)
        seconds = sum(verdict.seconds for verdict in verdicts) / len(verdicts)
        text += f" ({mutants:.0f} mutants, {seconds:.2f} s per image)"
    return text


def _of_detector(predictions: Sequence[Prediction]) -> bool:
    """Whether the verdicts are those of a detector: an alert, or an accepted label without a recovery certificate."""
    verdicts = [each.verdict for each in predictions if each.verdict is not None]
    return any(v.decision == "alert" or (v.decision == "accept" and not v.certified) for v in verdicts)


def _decision(prediction: Prediction) -> str:
    return _UNREADABLE if prediction.verdict is None else str(prediction.verdict.decision or "-")


def _ranges(windows: Sequence[int]) -> str:
    """Numbers with consecutive ones as ranges: ``3-5, 9``; ``none`` if there are none."""
    ranges: list[list[int]] = []
    for window in windows:
        if ranges and window == ranges[-1][1] + 1:
            ranges[-1][1] = window
        else:
            ranges.append([window, window])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges) or "none"
