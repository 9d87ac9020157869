"""Accuracies of the page: tables with intervals, defenders side by side, against patch size."""

from collections.abc import Iterator, Sequence

from mrcert_pl.results.labels import grouped, labels, patch_text
from mrcert_pl.results.pareto import possible
from mrcert_pl.results.schema import Accuracy, SeedAccuracy
from mrcert_pl.results.seeds import AnyResult
from mrcert_pl.results.statistics import bounds
from mrcert_pl.views.page.parts import Number, Section, Table
from mrcert_pl.views.page.plots import Labelled, against_patch_size, side_by_side
from mrcert_pl.views.words import are_over_seeds, families, last_column, notes, percent, titles

_MEANINGS = {
    "base": "The undefended model classifies the image correctly.",
    "clean": "The defender classifies the image correctly.",
    "certified": "It does, and provably still does for any one patch of that size, anywhere, whatever its content.",
    "round trip": "And every such patched image is itself certified again.",
    "detection": "The model classifies the image correctly, and every patched version has this label or an alert.",
    "unwavering": "The image is classified correctly, and no patched version has another label or raises an alert.",
    "ratio": "Every patched version has the true label or an alert, whatever the label of the image is.",
    "alerts": "The detector raises an alert on the image as it is.",
    "harmful alerts": "Of the images that the base model misclassifies under attack: those with an alert.",
    "adv. certified": "Of the images that the base model misclassifies under attack: clean and certified.",
}


def meaning_section(results: Sequence[AnyResult]) -> Section:
    """What the accuracies of some results mean."""
    words = {title: _MEANINGS[title] for part in families(results) for title in titles(part).values()}
    return Section("What the numbers mean", words=words)


def accuracy_sections(results: Sequence[AnyResult]) -> Iterator[Section]:
    """A section for results on the same data set, model and number of images; patch sizes side by side."""
    labelled = [Labelled(label, result) for label, result in zip(labels(results), results, strict=True)]
    for group in grouped(labelled, [[r.dataset, r.model, r.n] for r in results]):
        one = group[0].result
        by_patch = [
            part
            for same in grouped(group, [each.result.patch for each in group])
            for part in grouped(same, ["alerts" in each.result.accuracy for each in same])
        ]
        sizes = [against_patch_size(group, name) for name in ("certified", "round_trip", "certified_detection")]
        yield Section(
            f"{one.dataset}, {one.model}, {one.n} images",
            text=notes([each.result for each in group]),
            tables=[_table(same) for same in by_patch],
            images=[*(side_by_side(same) for same in by_patch), *(image for image in sizes if image)],
        )


def _table(group: Sequence[Labelled]) -> Table:
    results = [each.result for each in group]
    one, names, (heading, last) = results[0], titles(results), last_column(results)
    how = "number of images and 95 % interval (Wilson); mutants: mean per image"
    if are_over_seeds(results):
        how = "mean and standard deviation over seeds"
    return Table(
        f"Accuracy in %, patch {patch_text(one.patch)}, {one.n} images: {how}",
        ["defender", *names.values(), heading],
        [[label, *(result_cell(result, name) for name in names), last(result)] for label, result in group],
    )


def result_cell(result: AnyResult, name: str) -> Number:
    """An accuracy of a result, or that its defender's rule excludes it."""
    cell = accuracy_cell(result.accuracy.get(name))
    return cell if possible(result, name) else Number(cell.text, ["not possible"])


def accuracy_cell(accuracy: Accuracy | SeedAccuracy | None) -> Number:
    """An accuracy with its number of images, interval or spread, and published value."""
    if accuracy is None or accuracy.measured is None:
        return Number("n/a")
    ends = bounds(accuracy)
    if isinstance(accuracy, SeedAccuracy):
        details = ["one seed" if accuracy.spread is None else f"± {percent(accuracy.spread)}"]
    else:
        details = [f"{accuracy.count} of {accuracy.n}"]
        details += [f"{percent(ends[0])} to {percent(ends[1])}"] if ends else []
    if accuracy.reported is not None:
        details.append(f"published: {percent(accuracy.reported)}")
    return Number(percent(accuracy.measured), details)
