"""Words of a comparison of two evaluations, for terminal, page and CSV."""

import csv
import io

from mrcert_pl.results.compare import Comparison
from mrcert_pl.results.labels import patch_text
from mrcert_pl.views.words import ALL_TITLES, percent

HEADER = ("A", "B", "B - A", "A alone", "B alone", "p")
"""Columns behind the names of the accuracies."""

LEGEND = "p: McNemar's exact test, two-sided; with p of 0.05 or more the difference may be due to chance"


def introduction(comparison: Comparison) -> list[str]:
    """Name run A and run B, and the accuracies that only one of them claims."""
    named = [
        f"{letter}: {result.defender}, {result.model}, patch {patch_text(result.patch)}, seed {result.seed}: {name}"
        for letter, result, name in zip("AB", comparison.results, comparison.names, strict=True)
    ]
    return named + [
        f"claimed by {letter} alone, so not compared: {', '.join(ALL_TITLES[name] for name in names)}"
        for letter, names in zip("AB", comparison.unpaired, strict=True)
        if names
    ]


def comparison_cells(comparison: Comparison) -> list[list[str]]:
    """Rows of the table: name of an accuracy, and the columns of ``HEADER``."""
    rows = []
    for name, pair in comparison.paired.items():
        a, b = pair.counts
        accuracies = [f"{percent(count / comparison.n)} ({count})" for count in pair.counts]
        difference = f"{100 * (b - a) / comparison.n:+.1f}"
        alone = [str(len(ids)) for ids in pair.only]
        rows.append([ALL_TITLES[name], *accuracies, difference, *alone, f"{pair.p_value:.2g}"])
    return rows


def comparison_csv(comparison: Comparison) -> str:
    """The images that differ as CSV: accuracy, the run that has it alone, and the verdicts of both."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["accuracy", "only_in", "id", "path", "label", "prediction_a", "prediction_b"])
    for differing in comparison.differing:
        a, b = differing.rows
        writer.writerow([differing.accuracy, differing.only_in, a.id, a.path, a.label, a.prediction, b.prediction])
    return text.getvalue()
