"""``mrcert_pl.plan`` from Python."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from foreign_model import Grid
from rich.console import Console
from small_tasks import SMALL_VIT

from mrcert_pl import ModelSettings, PlanSettings, plan
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import MaskedViT
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.tasks.plan import PlanRow
from mrcert_pl.views.plan import show_plan

MASKED = {"backbone": "vit_tiny_patch16_224", "backbone_args": SMALL_VIT["backbone_args"], "pretrained": True}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.mutants.stopwatch._SECONDS", 0.0)
    monkeypatch.setattr("mrcert_pl.models.backbones.hub_weights", lambda name: pytest.fail("weights were asked for"))


def test_strides_are_compared() -> None:
    measured: list[tuple[int, int]] = []
    found = plan(
        PlanSettings(
            model=ModelSettings("masked_vit", MASKED),
            patch=32,
            strides=(1, 3, 4, 5),
            device="cpu",
            on_progress=lambda done, total: measured.append((done, total)),
        )
    )
    dense, three, four, five = found.rows
    assert [row.settings for row in found.rows] == [{"stride": n} for n in (1, 3, 4, 5)]
    assert dense.problem.startswith("144 masks have more than 500,000 distinct unions of order 4")
    assert five.problem.startswith("4 masks together can hide all 196 windows")
    assert (three.masks, list(three.unions)) == (16, [16, 136, 696, 2516])
    assert (four.masks, list(four.unions)) == (9, [9, 45, 129, 255])
    assert [round(100 * fraction) for fraction in four.visible] == [82, 66, 52, 40]
    assert len(four.seconds) == len(four.gflops) == 4
    assert sorted(four.gflops) == list(four.gflops)
    # Detection of one patch: the image and its 9 masks, of 45 and more mutants of a verdict.
    model = MaskedViT("vit_tiny_patch16_224", num_classes=10, backbone_args=MASKED["backbone_args"]).eval()
    lattice = UnionLattice(model.covering_masks(PatchSpec(32), 4), 196, 1)
    one = TableFlops(model, lattice.hidden).per_image(torch.ones(1, 10, dtype=torch.bool)) / 1e9
    assert four.gflops[0] == pytest.approx(float(one))
    assert four.seconds[0] < four.seconds[1]
    assert found.best is three
    assert found.cheapest in (three, four)
    assert measured[-1][0] == measured[-1][1]


def test_strides_that_do_not_nest_say_so() -> None:
    found = plan(
        PlanSettings(
            model=ModelSettings("masked_vit", MASKED), patch=32, patches=1, strides=(3,), refine=(4,), device="cpu"
        )
    )
    plain, refined = found.rows
    assert not plain.problem
    assert refined.settings == {"stride": 3, "refine": 4}
    assert refined.problem == "mask 1 of 16 lies inside none of the 9 masks that it should refine"


def test_nested_strides_are_refined() -> None:
    settings = PlanSettings(
        model=ModelSettings("masked_vit", MASKED), patch=48, patches=1, strides=(2, 4), device="cpu"
    )
    fine, coarse, refined = plan(replace(settings, refine=(4,))).rows
    assert refined.settings == {"stride": 2, "refine": 4}
    assert (refined.masks, refined.unions, refined.visible) == (fine.masks, fine.unions, fine.visible)
    # Detection is not refined; the other orders cost the unions of the largest masks.
    assert list(refined.gflops) == [fine.gflops[0], *coarse.gflops[1:]]
    assert coarse.gflops[1] < fine.gflops[1]


def test_a_refined_row_is_never_recommended() -> None:
    """Its cost is the least that an image can take, so a budget cannot be promised."""
    found = plan(
        PlanSettings(
            model=ModelSettings("masked_vit", MASKED), patch=48, patches=1, strides=(2, 4), refine=(4,), device="cpu"
        )
    )
    assert found.best is found.rows[0]
    console = Console(record=True, width=100)
    show_plan(found, "title", 1, None, None, console)
    assert "while the model is sure of all unions of the largest masks" in console.export_text()


@pytest.mark.parametrize("refine", [(0,), ("x",), (2.5,)])
def test_strides_to_refine_are_checked(refine: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError, match="refine must be a whole number of at least 1"):
        PlanSettings(refine=refine)


@pytest.mark.parametrize(
    ("seconds", "gflops", "best"),
    [(None, None, 2), (50, None, 3), (None, 100, 3), (5, 5000, 4), (0.5, None, None)],
)
def test_the_best_hides_least_of_what_is_affordable(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, gflops: float | None, best: int | None
) -> None:
    def rows(*_: Any) -> Sequence[PlanRow]:
        costs = [(2, 0.7, 1000, 100), (3, 0.6, 100, 10), (4, 0.4, 10, 1)]
        found = [
            PlanRow({"stride": n}, visible=(0.9, visible), gflops=(1.0, flops), seconds=(0.1, time))
            for n, visible, flops, time in costs
        ]
        return [*found, PlanRow({"stride": 9}, problem="too many")]

    monkeypatch.setattr("mrcert_pl.tasks.plan._rows", rows)
    found = plan(PlanSettings(seconds=seconds, gflops=gflops))
    assert (None if found.best is None else found.best.settings["stride"]) == best
    assert found.cheapest.settings["stride"] == 4


def test_variants_of_a_model_that_cannot_work_are_rows() -> None:
    found = plan(
        PlanSettings(
            model=ModelSettings("vit_srf", SMALL_VIT),
            patch=32,
            patches=1,
            variants={"window": [[14, 1], [5, 1]], "split": [0, 2]},
            strides=(1,),
            device="cpu",
        )
    )
    assert [(row.settings["model.window"], row.settings["model.split"]) for row in found.rows] == [
        ([14, 1], 0),
        ([14, 1], 2),
        ([5, 1], 0),
        ([5, 1], 2),
    ]
    assert [bool(row.problem) for row in found.rows] == [False, False, True, True]
    assert all(len(row.gflops) == 3 and row.gflops[0] == row.gflops[1] for row in found.rows[:2])


def test_a_model_that_does_not_count_its_operations_has_a_plan_in_seconds() -> None:
    settings = PlanSettings(model=ModelSettings("grid", {}, Grid), patch=4, patches=1, strides=(1, 2), device="cpu")
    found = plan(settings)
    assert [list(row.gflops) for row in found.rows] == [[], []]
    assert found.best is not None
    assert plan(replace(settings, gflops=1e9)).best is None, "nobody knows whether it is affordable"
    words = Console(record=True, width=120)
    show_plan(found, "grid", 1, None, None, words)
    assert "GFLOPs" not in words.export_text().splitlines()[-1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 112}, "no configuration works:\n  .*give a smaller patch"),
        ({"model": ModelSettings("column_vit", MASKED)}, "column_vit votes instead of hiding masks"),
        ({"model": ModelSettings("vit_srf", {**SMALL_VIT, "window": [5, 1]})}, "doesn't divide the token grid"),
        ({"device": "tpu"}, "there is no device 'tpu' here"),
    ],
)
def test_what_cannot_be_planned(settings: dict[str, Any], message: str) -> None:
    known = {"model": ModelSettings("vit_srf", SMALL_VIT), "patch": 32, "strides": (1,)}
    with pytest.raises(ConfigurationError, match=f"(?s){message}"):
        plan(PlanSettings(**{**known, **settings}))
