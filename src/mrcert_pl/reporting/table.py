"""Results as a table on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

_TITLES = {"base": "base", "clean": "clean", "certified": "certified", "round_trip": "round trip"}


def results_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """One row per result: shares in per cent with their counts, published figures in brackets."""
    table = Table(title="Accuracy in %", caption=_caption(results), caption_justify="left", title_justify="left")
    for title in ("data set", "model", "patch", "defender"):
        table.add_column(title)
    for title in (*_TITLES.values(), "images"):
        table.add_column(title, justify="right")
    for result in results:
        shares = [_share(result["accuracy"].get(name)) for name in _TITLES]
        names = (result[key] for key in ("dataset", "model", "patch", "defender"))
        table.add_row(*map(str, names), *shares, str(result["n"]))
    return table


def _share(accuracy: Mapping[str, Any] | None) -> str:
    if accuracy is None:
        return "n/a"
    reported = accuracy["reported"]
    published = "" if reported is None else f" \\[{100 * reported:.1f}]"
    return f"{100 * accuracy['measured']:.1f} ({accuracy['count']}){published}"


def _caption(results: Sequence[Mapping[str, Any]]) -> str:
    published = "; in square brackets the published figure" if _published(results) else ""
    lines = [f"In round brackets the number of images{published}"]
    notes = {result["defender"]: result.get("round_trip_note") for result in results}
    lines += [f"{defender}, round trip: {note}" for defender, note in notes.items() if note]
    return "\n".join(lines)


def _published(results: Sequence[Mapping[str, Any]]) -> bool:
    return any(a["reported"] is not None for result in results for a in result["accuracy"].values())
