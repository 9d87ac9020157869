"""Which configurations nothing cheaper beats: evaluations on the same images by accuracy and by cost."""

from collections.abc import Sequence

from mrcert_pl.reporting.page.labels import label_bases
from mrcert_pl.reporting.summary import Result, grouped, measured, patch_text

# The accuracies that are compared.
COMPARED = {"certified": "certified", "round_trip": "round trip"}


def priced(results: Sequence[Result]) -> list[list[Result]]:
    """Results that certify something at a known cost, those on the same images together, where two costs differ.

    Each has a ``base`` and a ``label``, as :func:`~mrcert_pl.reporting.page.labels.label_bases` makes them, and a
    ``number`` in its group: results of one base model in a row, cheapest first.
    """
    known = [
        result
        for result in results
        if result.get("gflops_per_image") is not None and any(share(result, name) > 0 for name in COMPARED)
    ]
    groups = grouped(label_bases(known), "dataset", "patch", "n")
    return [_numbered(group) for group in groups if len({result["gflops_per_image"] for result in group}) > 1]


def title_of(group: Sequence[Result]) -> str:
    """The images and the patch of a group."""
    one = group[0]
    return f"{one['dataset']}, patch {patch_text(one['patch'])}, {one['n']} images"


def share(result: Result, name: str) -> float:
    """An accuracy to compare; 0 also where the defender can't have it."""
    accuracy = measured(result, name)
    return accuracy["measured"] if accuracy else 0.0


def frontier(results: Sequence[Result], name: str) -> list[Result]:
    """The Pareto frontier, cheapest first: results that no other one equals in accuracy for less, or beats for as much.

    Those that certify nothing are worth nothing.
    """
    best = [
        one
        for one in results
        if share(one, name) > 0 and not any(_beats(other, one, name) for other in results if other is not one)
    ]
    return sorted(best, key=lambda result: result["gflops_per_image"])


def _beats(other: Result, one: Result, name: str) -> bool:
    theirs, ours = ((-result["gflops_per_image"], share(result, name)) for result in (other, one))
    return theirs != ours and all(their >= our for their, our in zip(theirs, ours, strict=True))


def _numbered(group: Sequence[Result]) -> list[Result]:
    bases = [sorted(of, key=lambda result: result["gflops_per_image"]) for of in grouped(group, "base")]
    bases.sort(key=lambda of: of[0]["gflops_per_image"])
    ordered = [result for of in bases for result in of]
    return [{**result, "number": number} for number, result in enumerate(ordered, start=1)]
