"""The estimate before a long evaluation."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_tasks import CPU

from mrcert_pl.attacks import AdaptivePatch, LocationSearch, PatchAttack, PatchIFGSM, placement_grid
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.tasks import announce
from mrcert_pl.tasks.announce import (
    announce_attack,
    announce_certificate_audit,
    announce_cost,
    announce_numerics,
    announce_training,
    duration,
)
from mrcert_pl.tasks.runtime import log


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (60, "1.0 min"), (5400, "1.5 h"), (86400, "24.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_long_evaluation_is_announced(tiny_vit: ViTSRF, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.mutants.stopwatch._SECONDS", 0.0)
    monkeypatch.setattr(announce, "timed", lambda work, device: (0.001, work()))
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    lattice = UnionLattice(tiny_vit.covering_masks(PatchSpec(32)), tiny_vit.windows, 2)
    device = torch.device("cpu")
    announce_cost(tiny_vit, lattice, 9_900 // len(lattice), None, device)
    announce_cost(tiny_vit, lattice, 19_000 // len(lattice), None, device, processes=2)
    assert not announced
    announce_cost(tiny_vit, lattice, 1000, 64, device)
    (line,) = announced
    assert line.startswith(f"1,000 images x at most {len(lattice)} mutants: up to about ")


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [
        (0.00001, []),
        (0.01, ["1,000 images x 3 epochs on a CPU: about 1.5 min"]),
        (
            1.0,
            ["1,000 images x 3 epochs on a CPU: about 2.5 h", "a smaller training: recipe=short model.backbone=deit_t"],
        ),
    ],
)
def test_a_long_training_on_a_cpu_is_announced(
    seconds: float, lines: list[str], tiny_vit: ViTSRF, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    monkeypatch.setattr(announce, "timed", lambda work, device: (seconds, work()))
    trainer: Any = CPU.make(tmp_path, (), ())
    state = torch.get_rng_state()
    announce_training(tiny_vit.train(), 1000, 32, 3, trainer)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(announced) == len(lines)
    assert all(found.startswith(line) for found, line in zip(announced, lines, strict=True))


@pytest.mark.parametrize(("limit", "images"), [(10, 320), (0.5, 500), (100, 1000), (1.0, 1000)])
def test_a_limit_of_batches_shortens_the_announced_training(
    limit: float, images: int, tiny_vit: ViTSRF, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    monkeypatch.setattr(announce, "timed", lambda work, device: (0.1, work()))
    trainer: Any = CPU.make(tmp_path, (), (), limit_train_batches=limit)
    announce_training(tiny_vit.train(), 1000, 32, 3, trainer)
    assert announced[0] == f"{images:,} images x 3 epochs on a CPU: about {duration(images * 0.9)}"


PATCH = PatchSpec(32)


def second_per_step() -> Callable[[Callable[[], Any], torch.device], tuple[float, Any]]:
    """A clock by which a gradient step takes a second: first use, one start, its last iterate scored alone."""
    seconds = cycle([0.0, 10.0, 11.0, 10.0])
    return lambda work, device: (next(seconds), work())


@pytest.mark.parametrize(
    ("attack", "images", "processes", "line"),
    [
        (PatchIFGSM(PATCH, starts=4, steps=30), 100, 1, "100 images x at most 120 gradient steps: up to about 3.3 h"),
        (PatchIFGSM(PATCH, starts=4, steps=30, early_stop=True), 100, 2, "100 images x at most 120 gradient steps: "),
        # 49 placements, then 24 at each of three smaller strides, of ten steps each.
        (LocationSearch(PATCH, starts=1, steps=5), 1, 1, "1 images x at most 1,215 gradient steps: up to about 20.2 "),
        (PatchIFGSM(PATCH, starts=4, steps=24), 1, 1, None),
        (PatchIFGSM(PATCH, starts=4, steps=30), 0, 1, None),
    ],
)
def test_a_long_attack_is_announced(
    attack: PatchAttack,
    images: int,
    processes: int,
    line: str | None,
    tiny_vit: ViTSRF,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    monkeypatch.setattr(announce, "timed", second_per_step())
    announce_attack(tiny_vit, attack, images, torch.device("cpu"), processes)
    assert [found[: len(line or "")] for found in announced] == ([] if line is None else [line])


def test_a_short_attack_is_not_announced(tiny_vit: ViTSRF, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "info", lambda *_: pytest.fail("announced"))
    monkeypatch.setattr(announce, "timed", lambda work, device: (0.0, work()))
    announce_attack(tiny_vit, PatchIFGSM(PATCH, starts=4, steps=30), 100, torch.device("cpu"))


def test_a_long_audit_is_announced(tiny_vit: ViTSRF, monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    monkeypatch.setattr(announce, "Stopwatch", lambda *_: SimpleNamespace(encoding=0.5, seconds=torch.ones_like))
    monkeypatch.setattr(announce, "timed", second_per_step())
    unions = UnionLattice(tiny_vit.covering_masks(PATCH), tiny_vit.windows, 2)
    placements = placement_grid(PATCH, tiny_vit.image_px, 96)
    attack = AdaptivePatch(unions.hidden, starts=2, steps=15, mutants=2)
    announce_certificate_audit(tiny_vit, unions, attack, placements, 20, 3, None, torch.device("cpu"))
    attacks = 2 * 20 * 9
    seconds = attacks * (2 * 15 + (1 + 3) * (0.5 + unions.hidden.numel()))
    assert announced == [
        "each certified image is attacked at 9 placements",
        f"if all 20 images are certified: up to about {duration(seconds)}",
    ]


def test_a_long_audit_of_rounding_is_announced(tiny_vit: ViTSRF, monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    lattice = UnionLattice(tiny_vit.covering_masks(PatchSpec(32)), tiny_vit.windows, 1)

    def watch(model: Any, image_px: Any, hidden: torch.Tensor, device: Any, token_budget: int) -> SimpleNamespace:
        assert token_budget == 1
        return SimpleNamespace(seconds=lambda hidden: torch.full((len(hidden),), 0.5))

    monkeypatch.setattr(announce, "Stopwatch", watch)
    announce_numerics(tiny_vit, lattice, 1, 2, torch.device("cpu"))
    assert not announced
    announce_numerics(tiny_vit, lattice, 20, 4, torch.device("cpu"))
    # No more mutants than there are.
    announce_numerics(tiny_vit, lattice, 20, 1000, torch.device("cpu"))
    few, many = announced
    assert few == "80 mutants, each by up to 7 methods: up to about 4.7 min"
    assert many.startswith(f"{20 * len(lattice)} mutants, each by up to 7 methods: up to about ")
