"""A run prepares its process and is alone in its folder."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from mrcert_pl import RunSettings
from mrcert_pl.errors import ResultsError
from mrcert_pl.files import run_lock
from mrcert_pl.tasks.runtime import opened


def test_every_run_draws_the_same_numbers(tmp_path: Path) -> None:
    drawn = []
    for seed in (3, 3, 4):
        with opened(RunSettings(tmp_path, seed)):
            drawn.append(torch.rand(2).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_arithmetic_is_ieee_float32(tmp_path: Path) -> None:
    torch.set_float32_matmul_precision("high")
    with opened(RunSettings(tmp_path)):
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path),
        pytest.raises(ResultsError, match="another process is writing"),
        opened(RunSettings(tmp_path)),
    ):
        pass
    with opened(RunSettings(tmp_path)):
        pass


def test_an_earlier_result_is_kept(tmp_path: Path) -> None:
    (tmp_path / "results.json").touch()
    with (
        pytest.raises(ResultsError, match=r"has the results\.json of an earlier run"),
        opened(RunSettings(tmp_path), leaves="results.json"),
    ):
        pass
    with opened(RunSettings(tmp_path), leaves="certificates.json"):
        pass
    with opened(RunSettings(tmp_path)):
        pass


def test_the_log_of_an_earlier_start_is_kept(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "csv").mkdir()
        (tmp_path / "csv/metrics.csv").write_text(str(number))
        with opened(RunSettings(tmp_path)):
            pass
    assert [(tmp_path / f"csv_{n}/metrics.csv").read_text() for n in (1, 2, 3)] == ["0", "1", "2"]


def test_loggers_record_the_settings(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="csv")
    with opened(RunSettings(tmp_path, loggers=[logger], config={"patch": 16})):
        pass
    assert "patch: 16" in (tmp_path / "csv/hparams.yaml").read_text()
