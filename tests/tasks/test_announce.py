"""The estimate before a long evaluation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_tasks import CPU

from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.tasks import announce
from mrcert_pl.tasks.announce import announce_cost, announce_training, duration
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
    announce_training(tiny_vit.train(), 1000, 3, trainer)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(announced) == len(lines)
    assert all(found.startswith(line) for found, line in zip(announced, lines, strict=True))
