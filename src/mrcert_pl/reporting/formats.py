"""Results as tables for other programs: Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mrcert_pl.reporting.intervals import wilson
from mrcert_pl.reporting.summary import Result, cells, gflops_text, grouped, legend, patch_text, seeds_text, titles

_FACTS = ("data set", "model", "patch", "images")
_LATEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def markdown(results: Sequence[Result]) -> str:
    """One table, accuracies in per cent with the number of images; what they mean stands below it."""
    header, rows = _cells(results)
    aligned = [":---" if side == "l" else "---:" for side in _alignments(len(header))]
    lines = [" | ".join(map(_in_markdown, row)) for row in (header, aligned, *rows)]
    return "\n".join([*(f"| {line} |" for line in lines), "", *legend(results)]) + "\n"


def latex(results: Sequence[Result]) -> str:
    r"""One ``tabular`` with the rules of booktabs; what the figures mean stands in comments above it."""
    header, rows = _cells(results)
    aligned = "".join(_alignments(len(header)))
    lines = [" & ".join(map(_in_latex, row)) + r" \\" for row in (header, *rows)]
    notes = [r"% \usepackage{booktabs}", *(f"% {line}" for line in legend(results))]
    body = [rf"\begin{{tabular}}{{{aligned}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([*notes, *body, r"\end{tabular}"]) + "\n"


def comma_separated(results: Sequence[Result]) -> str:
    """One row per result: counts, shares with their 95 % intervals or their spread, published shares, digests."""
    rows = [
        {
            "dataset": result["dataset"],
            "model": result["model"],
            "patch": result["patch"],
            "n": result["n"],
            "defender": result["defender"],
            "seeds": seeds_text(result),
            **{
                f"{name}_{figure}": value
                for name in titles(results)
                for figure, value in _figures(result["accuracy"].get(name)).items()
            },
            "mutants_per_image": result.get("mutants_per_image"),
            "gflops_per_image": result.get("gflops_per_image"),
            "weights_sha256": result.get("weights_sha256"),
        }
        for result in _ordered(results)
    ]
    text = io.StringIO()
    columns = dict.fromkeys(column for row in rows for column in row)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[Result]], str]] = {
    "markdown": markdown,
    "csv": comma_separated,
    "latex": latex,
}


def _cells(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table for people; with what an image costs, where some result knows it."""
    ordered = _ordered(results)
    header, rows = cells(ordered)
    facts = [[str(r["dataset"]), str(r["model"]), patch_text(r["patch"]), str(r["n"])] for r in ordered]
    known = any(r.get("gflops_per_image") is not None for r in ordered)
    costs = [[gflops_text(r)] if known else [] for r in ordered]
    lines = [[*fact, *row, *cost] for fact, row, cost in zip(facts, rows, costs, strict=True)]
    return [*_FACTS, *header, *(["GFLOPs per image"] if known else [])], lines


def _alignments(columns: int) -> list[str]:
    """``l`` for words and ``r`` for numbers, column by column."""
    return ["l", "l", "l", "r", "l", *"r" * (columns - 5)]


def _ordered(results: Sequence[Result]) -> list[Result]:
    """Those of the same images next to each other."""
    return [result for group in grouped(results, "dataset", "model", "patch", "n") for result in group]


def _figures(accuracy: Mapping[str, Any] | None) -> dict[str, Any]:
    """The numbers of an accuracy by the ends of their columns' names."""
    if accuracy is None:
        return {}
    figures = {"share": accuracy["measured"], "reported": accuracy["reported"]}
    if "spread" in accuracy:
        return {**figures, "spread": accuracy["spread"], "counts": " ".join(map(str, accuracy["counts"]))}
    low, high = wilson(accuracy["count"], accuracy["n"]) if accuracy["n"] else (None, None)
    return {"count": accuracy["count"], "n": accuracy["n"], **figures, "low": low, "high": high}


def _in_markdown(cell: str) -> str:
    return cell.replace("|", r"\|")


def _in_latex(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in cell)
