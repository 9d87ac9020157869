"""The run of a command, read back from its offline file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from offline_run import only_run

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.views.wandb import Artifact, Artifacts, WandbRun, run_closed


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")


@contextmanager
def opened(folder: Path) -> Iterator[WandbRun]:
    with run_closed():
        yield WandbRun.of([WandbLogger(save_dir=folder, offline=True, project="tests")])


def test_without_its_logger_and_in_other_processes_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not WandbRun.of([])
    assert not WandbRun.of([CSVLogger(tmp_path)])
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert not WandbRun.of([WandbLogger(save_dir=tmp_path, offline=True)])
    assert wandb.run is None
    assert not list(tmp_path.rglob("*.wandb"))


def test_a_run_says_what_it_is_about_and_keeps_the_best(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.describe({"command": "train", "patch": "p32"})
        for value in (0.2, 0.6, 0.4):
            run.numbers({"val/certified_accuracy": value, "val/loss": value})
    run = only_run(tmp_path)
    assert run.name == "train p32"
    assert run.config["about"] == {"command": "train", "patch": "p32"}
    assert run.summary["val/certified_accuracy"] == {"max": 0.6, "last": 0.4}
    assert run.summary["val/loss"] == {"min": 0.2, "last": 0.4}
    assert run.metrics["val/certified_accuracy"].step_metric == "trainer/global_step"
    assert run.exit_code == 0


def test_tables_charts_and_images_with_overlays(tmp_path: Path) -> None:
    image, hidden = np.zeros((8, 6, 3)), np.zeros((8, 6), dtype=bool)
    hidden[:, 2:4] = True
    with opened(tmp_path) as run:
        rows = [[1, run.image(image), None], [2, run.image(image, {"witness": (hidden, {1: "hidden"})}), 0.5]]
        run.table("some/images", ("id", "image", "share"), rows)
        run.bars("some/bars", "Bars", ("case", "share"), [("Case 1", 0.5)])
        run.lines("some/lines", "Lines", "px", {"across": ([0, 1], [0.5, 1.0]), "down": ([0, 2], [0.0, 0.25])})
    run = only_run(tmp_path)
    table = run.table("some/images")
    assert table["columns"] == ["id", "image", "share"]
    assert [row[2] for row in table["data"]] == [None, 0.5]
    assert table["data"][1][1]["masks"]["witness"]["path"].endswith(".png")
    assert run.table("some/bars_table")["data"] == [["Case 1", 0.5]]
    assert sorted(run.table("some/lines_table")["data"]) == [
        [0, "across", 0.5],
        [0, "down", 0.0],
        [1, "across", 1.0],
        [2, "down", 0.25],
    ]
    assert run.charts == {"some/bars": "wandb/bar/v0", "some/lines": "wandb/lineseries/v0"}


def test_artifacts_are_recorded_and_one_that_two_runs_name_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"weights")
    (tmp_path / "results.json").write_text("{}")
    artifact = Artifact("model", "digits", {"n": 1}, {"a.json": "1"}, references={"best.ckpt": tmp_path / "best.ckpt"})
    runs = []
    for number in range(2):
        with opened(tmp_path / str(number)) as run:
            if number:
                result = Artifact("results", "eval", files={"results.json": tmp_path / "results.json"})
                run.log_artifacts(Artifacts(used=(artifact,), made=(result,)))
            else:
                run.log_artifacts(Artifacts(made=(artifact,)))
        runs.append(only_run(tmp_path / str(number)))
    (made,), (used, result) = runs[0].artifacts, runs[1].artifacts
    assert (made.use_after_commit, used.use_after_commit, result.use_after_commit) == (False, True, False)
    assert made.digest == used.digest
    assert (used.type, used.name, used.metadata) == ("model", "digits", '{"n":1}')
    contents = {content.path: content for content in used.manifest.contents}
    assert contents["best.ckpt"].ref == (tmp_path / "best.ckpt").as_uri()
    assert Path(contents["a.json"].local_path).read_text() == "1"
    (file,) = result.manifest.contents
    assert file.local_path == str(tmp_path / "results.json")


def test_a_run_that_fails_is_closed_as_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with opened(tmp_path):
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        fail()
    assert wandb.run is None
    assert only_run(tmp_path).exit_code == 1


def test_a_run_that_was_open_before_is_left_open(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path, mode="offline") as theirs:
        with run_closed():
            pass
        assert wandb.run is theirs


def test_offline_is_offline_though_the_process_has_begun_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    wandb.teardown()
    wandb.setup()
    with opened(tmp_path):
        assert wandb.run is not None
        assert wandb.run.offline


def test_a_server_that_cannot_be_reached_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**settings: object) -> None:
        raise wandb.errors.CommError("no such host")

    monkeypatch.setattr(wandb, "init", unreachable)
    with pytest.raises(ConfigurationError, match=r"W&B can't open a run: no such host\nKeep it offline"):
        WandbRun.of([WandbLogger(save_dir=tmp_path, offline=True)])


def test_without_an_account_an_online_run_is_refused_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    with pytest.raises(ConfigurationError, match=r"offline=false needs an account of W&B: call wandb login once"):
        WandbRun.of([WandbLogger(save_dir=tmp_path, offline=False)])
