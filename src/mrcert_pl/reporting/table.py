"""Results as tables on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Result = Mapping[str, Any]

_TITLES = {"base": "base", "clean": "clean", "certified": "certified", "round_trip": "round trip"}
_ATTACKED = {"adversarial_certified": "adv. certified"}


def show(results: Sequence[Result], console: Console | None = None) -> None:
    """Print one table per data set, model, patch and number of images, and what the figures mean."""
    console = console or Console()
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(result[key] for key in ("dataset", "model", "patch", "n")), []).append(result)
    for group in groups.values():
        console.print(results_table(group))
    for line in _legend(results):
        console.print(line, style="dim", highlight=False, markup=False)


def results_table(results: Sequence[Result]) -> Table:
    """Defenders on the same images, a row each: shares in per cent with the number of images, published ones beside."""
    one = results[0]
    size = f"{one['patch']} px" if isinstance(one["patch"], int) else str(one["patch"])
    title = f"{one['dataset']}, {one['model']}, patch {size}, {one['n']} images: accuracy in %"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("defender", no_wrap=True)
    titles = _TITLES | (_ATTACKED if any(_is_attacked(result) for result in results) else {})
    for heading in titles.values():
        table.add_column(heading, justify="right", no_wrap=heading in _TITLES.values())
    table.add_column("mutants", justify="right", no_wrap=True)
    for result in results:
        shares = (_share(result["accuracy"].get(name), one["n"]) for name in titles)
        table.add_row(result["defender"], *shares, _mean(result))
    return table


def _is_attacked(result: Result) -> bool:
    return any(name in result["accuracy"] for name in _ATTACKED)


def _mean(result: Result) -> str:
    mutants = result.get("mutants_per_image")
    return "n/a" if mutants is None else f"{mutants:.0f}"


def _share(accuracy: Mapping[str, Any] | None, n: int) -> str:
    if accuracy is None or accuracy["measured"] is None:
        return "n/a"
    reported = accuracy["reported"]
    published = "" if reported is None else f" \\[{100 * reported:.1f}]"
    of = "" if accuracy["n"] == n else f"/{accuracy['n']}"
    return f"{100 * accuracy['measured']:.1f} ({accuracy['count']}{of}){published}"


def _legend(results: Sequence[Result]) -> list[str]:
    published = any(a["reported"] is not None for result in results for a in result["accuracy"].values())
    lines = ["(number of images)" + (", [published figure]" if published else "") + "; mutants: mean per image"]
    if any(_is_attacked(result) for result in results):
        lines.append("adv. certified: clean and certified, of the images that the base model misreads under attack")
    notes = {result["defender"]: result.get("round_trip_note") for result in results}
    return lines + [f"{defender}, round trip: {note}" for defender, note in notes.items() if note]
