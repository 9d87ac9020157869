"""The estimate before a long evaluation."""

import logging
from pathlib import Path
from typing import Any

import pytest
from small_tasks import CPU

from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.tasks.announce import announce_cost, duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (60, "1.0 min"), (5400, "1.5 h"), (86400, "24.0 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_long_evaluation_is_announced(
    tiny_vit: ViTSRF, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mrcert_pl.mutants.stopwatch._SECONDS", 0.0)
    monkeypatch.setattr(logging.getLogger("mrcert_pl"), "propagate", True)
    lattice = UnionLattice(tiny_vit.covering_masks(PatchSpec(32)), tiny_vit.windows, 2)
    trainer: Any = CPU.make(tmp_path, (), ())
    with caplog.at_level(logging.INFO, "mrcert_pl"):
        announce_cost(tiny_vit, lattice, 10, None, trainer)
        assert not [record for record in caplog.records if record.name == "mrcert_pl"]
        announce_cost(tiny_vit, lattice, 1000, 64, trainer)
    (record,) = [record for record in caplog.records if record.name == "mrcert_pl"]
    assert record.getMessage().startswith(f"1,000 images x at most {len(lattice)} mutants: about ")
