"""The estimate before a long evaluation."""

from pathlib import Path
from typing import Any

import pytest
from small_tasks import CPU

from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.tasks.announce import announce_cost, duration
from mrcert_pl.tasks.runtime import log


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (60, "1.0 min"), (5400, "1.5 h"), (86400, "24.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_long_evaluation_is_announced(tiny_vit: ViTSRF, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcert_pl.mutants.stopwatch._SECONDS", 0.0)
    announced: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: announced.append(message % values))
    lattice = UnionLattice(tiny_vit.covering_masks(PatchSpec(32)), tiny_vit.windows, 2)
    trainer: Any = CPU.make(tmp_path, (), ())
    announce_cost(tiny_vit, lattice, 10, None, trainer)
    assert not announced
    announce_cost(tiny_vit, lattice, 1000, 64, trainer)
    (line,) = announced
    assert line.startswith(f"1,000 images x at most {len(lattice)} mutants: about ")
