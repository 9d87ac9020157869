"""What all views of results share: which stand together, in which columns, in which words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]

_TITLES = {"base": "base", "clean": "clean", "certified": "certified", "round_trip": "round trip"}
_ATTACKED = {"adversarial_certified": "adv. certified"}


def titles(results: Sequence[Result]) -> dict[str, str]:
    """The accuracies that some results have, by their names in ``results.json``, and what they are called."""
    attacked = any(name in result["accuracy"] for result in results for name in _ATTACKED)
    return _TITLES | (_ATTACKED if attacked else {})


def grouped(results: Sequence[Result], *keys: str) -> list[list[Result]]:
    """Results that agree in some facts together, in their order."""
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(str(result[key]) for key in keys), []).append(result)
    return list(groups.values())


def patch_text(patch: object) -> str:
    """A patch with its unit, or the patches of a set."""
    if isinstance(patch, list):
        return ", ".join(map(patch_text, patch))
    return f"{patch} px" if isinstance(patch, int) else str(patch)


def percent(share: float) -> str:
    """A share in per cent, with one digit."""
    return f"{100 * share:.1f}"


def share_text(accuracy: Mapping[str, Any] | None, n: int) -> str:
    """An accuracy in per cent with its number of images, or with its spread over seeds, and the published one beside.

    Args:
        accuracy: of one result, or of several seeds (:func:`mrcert_pl.reporting.seeds.over_seeds`).
        n: images of the result; the accuracy's own number is named where it is another one.
    """
    if accuracy is None or accuracy["measured"] is None:
        return "n/a"
    published = "" if accuracy["reported"] is None else f" [{percent(accuracy['reported'])}]"
    if "spread" in accuracy:
        spread = "" if accuracy["spread"] is None else f" ± {percent(accuracy['spread'])}"
        return f"{percent(accuracy['measured'])}{spread}{published}"
    of = "" if accuracy["n"] == n else f"/{accuracy['n']}"
    return f"{percent(accuracy['measured'])} ({accuracy['count']}{of}){published}"


def possible(result: Result, name: str) -> bool:
    """Whether an accuracy was measured: the 0 of a defender that can't certify round trips is its rule's."""
    return name != "round_trip" or not result.get("round_trip_note")


def measured(result: Result, name: str) -> Mapping[str, Any] | None:
    """An accuracy that a figure can show: one that was measured, and that the defender's rule doesn't exclude."""
    accuracy = result["accuracy"].get(name)
    return accuracy if accuracy and accuracy["measured"] is not None and possible(result, name) else None


def gflops_text(result: Result) -> str:
    """What an image costs, in three significant digits."""
    gflops = result.get("gflops_per_image")
    return "n/a" if gflops is None else f"{gflops:,.0f}" if gflops >= 1000 else f"{gflops:.3g}"


def cells(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of defenders, in words."""
    names, (heading, last) = titles(results), last_column(results)
    rows = [
        [
            str(result["defender"]),
            *(share_text(result["accuracy"].get(name), result["n"]) for name in names),
            last(result),
        ]
        for result in results
    ]
    return ["defender", *names.values(), heading], rows


def last_column(results: Sequence[Result]) -> tuple[str, Callable[[Result], str]]:
    """What stands behind the accuracies, and how it is called: what they cost, or the seeds that they are a mean of."""
    return ("seeds", seeds_text) if are_over_seeds(results) else ("mutants", _mutants_text)


def are_over_seeds(results: Sequence[Result]) -> bool:
    """Whether these are results of :func:`mrcert_pl.reporting.seeds.over_seeds`."""
    return any("seeds" in result for result in results)


def seeds_text(result: Result) -> str:
    """The seeds of a result over several, or its own."""
    return ", ".join(map(str, result.get("seeds", [result.get("seed", "n/a")])))


def are_published(results: Sequence[Result]) -> bool:
    """Whether there is a published figure beside some accuracy."""
    return any(accuracy["reported"] is not None for result in results for accuracy in result["accuracy"].values())


def legend(results: Sequence[Result]) -> list[str]:
    """What the figures of a table mean, and why some of them can't be better."""
    seeds = are_over_seeds(results)
    figures = "accuracy in %" + (", mean ± standard deviation over seeds" if seeds else " (number of images)")
    figures += ", [published figure]" if are_published(results) else ""
    lines = [figures if seeds else f"{figures}; mutants: mean per image"]
    if titles(results).keys() & _ATTACKED.keys():
        lines.append("adv. certified: clean and certified, of the images that the base model misreads under attack")
    notes = {result["defender"]: result.get("round_trip_note") for result in results}
    lines += [f"{defender}, round trip: {note}" for defender, note in notes.items() if note]
    alike = dict.fromkeys(result["defender"] for result in results if _same_weights(result))
    return lines + [f"{defender}: some seeds are of the same weights, so the spread is too small" for defender in alike]


def _mutants_text(result: Result) -> str:
    mutants = result.get("mutants_per_image")
    return "n/a" if mutants is None else f"{mutants:.0f}"


def _same_weights(result: Result) -> bool:
    return len(result.get("seeds", ())) > result.get("weights", 1) and "weights" in result
