"""``config.yaml`` in the folder of a run."""

from pathlib import Path
from typing import Any

import pytest
from composition import composed
from omegaconf import OmegaConf

from mrcert_pl.cli.app import completed
from mrcert_pl.cli.record import begun, write_config
from mrcert_pl.tasks.settings import RunSettings
from mrcert_pl.views.wandb import WandbRun


def test_the_completed_configuration_is_written_with_its_values(tmp_path: Path) -> None:
    cfg = composed("eval", "patch=32", folder=str(tmp_path / "run"))
    before = OmegaConf.to_yaml(cfg)
    done = completed(cfg)
    assert write_config(done) == tmp_path / "run"
    assert OmegaConf.to_yaml(cfg) == before
    written = OmegaConf.load(tmp_path / "run/config.yaml")
    assert written.patch == 32
    assert written.checkpoint == "checkpoints/digits/vit_srf_p32/best.ckpt"
    assert written.paths.run_dir == str(tmp_path / "run")
    assert (written.paths.command, written.paths.run_group) == ("eval", None)
    assert len(written.paths.run_id) == 12
    assert "${" not in (tmp_path / "run/config.yaml").read_text()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_a_resumed_run_keeps_its_folder_and_its_identity(tmp_path: Path) -> None:
    first = completed(composed("train", folder=str(tmp_path / "first")))
    resumed = completed(composed("train", folder=str(tmp_path / "second")), tmp_path / "first")
    assert resumed.paths == first.paths


class Described(WandbRun):
    """A run that keeps what it is described by."""

    def __init__(self) -> None:
        super().__init__(run=object())
        self.about: dict[str, Any] = {}

    def describe(self, about: Any) -> None:
        self.about = dict(about)


@pytest.mark.parametrize(
    ("command", "overrides", "about"),
    [
        ("eval", ["defender=mrcert_sharp", "patch=32"], ["eval", "digits", "vit_srf", "p32", "mrcert_sharp"]),
        ("attack", ["model=masked_vit"], ["attack", "digits", "masked_vit", "p16"]),
        ("audit_numerics", [], ["audit_numerics", "digits", "vit_srf", "p16"]),
        ("eval", ["dataset=attacked", "dataset.source=gtsrb"], ["eval", "gtsrb, attacked", "vit_srf", "p16", "mrcert"]),
    ],
)
def test_a_run_is_named_by_its_command_and_its_subject(
    command: str, overrides: list[str], about: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Described()
    monkeypatch.setattr(WandbRun, "of", lambda _: run)
    cfg = completed(composed(command, *overrides, folder=str(tmp_path)))
    assert begun(cfg, RunSettings(tmp_path)) is run
    assert list(run.about.values()) == about
    assert (tmp_path / "config.yaml").is_file()


def test_a_run_without_wandb_has_no_name(tmp_path: Path) -> None:
    assert not begun(completed(composed("eval", folder=str(tmp_path))), RunSettings(tmp_path))
