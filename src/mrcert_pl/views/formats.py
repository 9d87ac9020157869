"""Results as tables for other programs: Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from tabulate import tabulate

from mrcert_pl.results.labels import by_subject, labels, patch_text
from mrcert_pl.results.schema import Accuracy, SeedAccuracy
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.results.statistics import wilson
from mrcert_pl.views.words import cells, gflops_text, legend, seeds_text, titles

_FACTS = ("data set", "model", "patch", "images")


def markdown(results: Sequence[AnyResult]) -> str:
    """One table, accuracies in per cent with the number of images, and its legend below."""
    header, rows = _cells(results)
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join([_tabulated(header, escaped, "pipe"), "", *legend(results)]) + "\n"


def latex(results: Sequence[AnyResult]) -> str:
    """One ``tabular`` with the rules of booktabs, and its legend in comments above."""
    header, rows = _cells(results)
    notes = [r"% \usepackage{booktabs}", *(f"% {line}" for line in legend(results))]
    table = _tabulated(header, rows, "latex_booktabs").replace("±", r"$\pm$")
    return "\n".join([*notes, table]) + "\n"


def comma_separated(results: Sequence[AnyResult]) -> str:
    """One row per result: counts, accuracies with their 95 % intervals or their spread, published values, digests."""
    ordered = _ordered(results)
    rows = [
        {
            "dataset": result.dataset,
            "model": result.model,
            "patch": result.patch,
            "n": result.n,
            "defender": result.defender,
            "label": label,
            "seeds": seeds_text(result),
            **{
                f"{name}_{number}": value
                for name in titles(results)
                for number, value in _numbers(result.accuracy.get(name)).items()
            },
            "mutants_per_image": result.mutants_per_image,
            "gflops_per_image": result.gflops_per_image,
            "weights_sha256": result.weights_sha256,
        }
        for label, result in zip(labels(ordered), ordered, strict=True)
    ]
    text = io.StringIO()
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[AnyResult]], str]] = {
    "markdown": markdown,
    "csv": comma_separated,
    "latex": latex,
}


def _tabulated(header: Sequence[str], rows: Sequence[Sequence[str]], kind: str) -> str:
    # Words to the left, numbers to the right; a cell such as "1e5" stays as it is.
    sides = ["left", "left", "left", "right", "left", *["right"] * (len(header) - 5)]
    return tabulate(rows, header, tablefmt=kind, colalign=sides, disable_numparse=True)


def _cells(results: Sequence[AnyResult]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table; with the cost of an image where some result has it."""
    ordered = _ordered(results)
    header, rows = cells(ordered)
    known = any(result.gflops_per_image is not None for result in ordered)
    lines = []
    for result, row in zip(ordered, rows, strict=True):
        cost = [gflops_text(result.gflops_per_image)] if known else []
        lines.append([result.dataset, result.model, patch_text(result.patch), str(result.n), *row, *cost])
    return [*_FACTS, *header, *(["GFLOPs per image"] if known else [])], lines


def _ordered(results: Sequence[AnyResult]) -> list[AnyResult]:
    """Results of the same images next to each other."""
    return [result for group in by_subject(results, "dataset", "model", "patch", "n") for result in group]


def _numbers(accuracy: Accuracy | SeedAccuracy | None) -> dict[str, Any]:
    """The numbers of an accuracy by the ends of their columns' names."""
    if accuracy is None:
        return {}
    numbers = {"measured": accuracy.measured, "reported": accuracy.reported}
    if isinstance(accuracy, SeedAccuracy):
        return {**numbers, "spread": accuracy.spread, "counts": " ".join(map(str, accuracy.counts))}
    low, high = wilson(accuracy.count, accuracy.n) if accuracy.n else (None, None)
    return {"count": accuracy.count, "n": accuracy.n, **numbers, "low": low, "high": high}
