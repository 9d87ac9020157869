"""``config.yaml`` in the folder of a run."""

from pathlib import Path

from composition import composed
from omegaconf import OmegaConf

from mrcert_pl.cli.app import completed
from mrcert_pl.cli.record import write_config


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
