"""Accuracies of the page: tables with intervals, defenders side by side, against patch size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mrcert_pl.reporting.intervals import bounds
from mrcert_pl.reporting.page.parts import Section, Share, Table
from mrcert_pl.reporting.page.plots import against_patch_size, side_by_side
from mrcert_pl.reporting.summary import (
    Result,
    are_over_seeds,
    grouped,
    last_column,
    legend,
    patch_text,
    percent,
    possible,
    titles,
)

_MEANINGS = {
    "base": "The undefended model's own label is right.",
    "clean": "The defender's label is right.",
    "certified": "It is right, and proven to stay so for any one patch of that size, anywhere, whatever it shows.",
    "round trip": "And every such patched image is itself certified again.",
    "adv. certified": "Of the images that the base model misreads under attack: clean and certified.",
}


def meaning_section(results: Sequence[Result]) -> Section:
    """What the accuracies of some results mean."""
    words = {title: _MEANINGS[title] for title in titles(results).values()}
    return Section("What the figures mean", words=words)


def accuracy_sections(results: Sequence[Result]) -> Iterator[Section]:
    """A section for labelled results on the same data set, model and number of images; patch sizes side by side."""
    for group in grouped(results, "dataset", "model", "n"):
        one = group[0]
        by_patch = grouped(group, "patch")
        sizes = [against_patch_size(group, name) for name in ("certified", "round_trip")]
        yield Section(
            f"{one['dataset']}, {one['model']}, {one['n']} images",
            text=[line for line in legend(group)[1:] if not line.startswith("adv.")],
            tables=[_table(same) for same in by_patch],
            pictures=[*(side_by_side(same) for same in by_patch), *(picture for picture in sizes if picture)],
        )


def _table(results: Sequence[Result]) -> Table:
    one, names, (heading, last) = results[0], titles(results), last_column(results)
    how = "number of images and 95 % interval (Wilson); mutants: mean per image"
    if are_over_seeds(results):
        how = "mean and standard deviation over seeds"
    return Table(
        f"Accuracy in %, patch {patch_text(one['patch'])}, {one['n']} images: {how}",
        ["defender", *names.values(), heading],
        [[result["label"], *(accuracy_cell(result, name) for name in names), last(result)] for result in results],
    )


def accuracy_cell(result: Result, name: str) -> Share:
    """An accuracy of a result, or that its defender can't have it."""
    cell = share_cell(result["accuracy"].get(name))
    return cell if possible(result, name) else Share(cell.share, ["not possible"])


def share_cell(accuracy: Mapping[str, Any] | None) -> Share:
    """An accuracy of ``results.json`` with all that is known about it."""
    if accuracy is None or accuracy["measured"] is None:
        return Share("n/a")
    if "spread" in accuracy:
        spread = accuracy["spread"]
        details = [f"± {percent(spread)}"] if spread is not None else ["one seed"]
    else:
        low, high = bounds(accuracy) or (0, 1)
        details = [f"{accuracy['count']} of {accuracy['n']}", f"{percent(low)} to {percent(high)}"]
    if accuracy["reported"] is not None:
        details.append(f"published: {percent(accuracy['reported'])}")
    return Share(percent(accuracy["measured"]), details)
