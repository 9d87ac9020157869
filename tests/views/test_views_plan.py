"""A plan on the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from mrcert_pl.tasks.plan import Plan, PlanRow
from mrcert_pl.views.plan import show_plan

COSTS: dict[str, Any] = {
    "unions": (9, 45),
    "visible": (0.82, 0.664),
    "gflops": (0.11, 0.123, 12.3),
    "seconds": (0.9, 1.5, 1234.0),
}
CHEAP = PlanRow({"model.window": [14, 1], "stride": 4}, 9, **COSTS)
BROKEN = PlanRow({"model.window": [5, 1], "stride": 4}, problem="a [/window] of (5, 1) doesn't fit")


def shown(plan: Plan, *arguments: Any) -> str:
    console = Console(width=200, file=io.StringIO())
    show_plan(plan, *arguments, console=console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def test_a_row_has_the_costs_by_order() -> None:
    text = shown(Plan([CHEAP, BROKEN], CHEAP, CHEAP), "digits, vit_srf", 1, None, None)
    assert "window stride masks unions visible, % GFLOPs seconds" in text
    assert "[14,1] 4 9 9 / 45 82 / 66 0.11 / 0.12 / 12 0.9 / 1.5 / 1,234 best" in text
    assert "by order, 1 / 2\n" in text
    assert "for detection / verdict / certificate while" in text


def test_several_patches_have_a_round_trip() -> None:
    text = shown(Plan([CHEAP], CHEAP, CHEAP), "digits", 2, None, None)
    assert "by order, 1 / 2 / 3 / 4" in text
    assert "for detection / verdict / certificate / round trip while" in text


def test_a_configuration_that_cannot_work_says_why() -> None:
    text = shown(Plan([CHEAP, BROKEN], CHEAP, CHEAP), "digits", 1, None, None)
    assert "[5,1] 4 - - - - -\n" in text
    assert "\nwindow [5, 1] stride 4: a [/window] of (5, 1) doesn't fit\n" in text


def test_a_single_configuration_has_no_name() -> None:
    alone = PlanRow({}, 9, **COSTS)
    text = shown(Plan([alone], alone, alone), "digits", 1, None, None)
    assert "Hides least within no limit per image: this configuration, 1,234 s" in text


@pytest.mark.parametrize(
    ("seconds", "gflops", "budget"),
    [(None, None, "no limit"), (2.0, None, "2 s"), (None, 0.5, "0.5 GFLOPs"), (2000.0, 50.0, "2000 s and 50 GFLOPs")],
)
def test_the_recommendation_names_the_budget(seconds: float | None, gflops: float | None, budget: str) -> None:
    best = shown(Plan([CHEAP], CHEAP, CHEAP), "digits", 1, seconds, gflops)
    assert f"Hides least within {budget} per image: window [14, 1] stride 4, 1,234 s and 12 GFLOPs." in best
    none = shown(Plan([CHEAP], None, CHEAP), "digits", 1, seconds, gflops)
    assert f"Nothing stays within {budget} per image; window [14, 1] stride 4 takes least, 1,234 s and 12 GFL" in none
    assert " best" not in none


def test_the_title_is_text() -> None:
    assert "data [/b] [red]set" in shown(Plan([CHEAP], CHEAP, CHEAP), "data [/b] [red]set", 1, None, None)
