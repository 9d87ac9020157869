"""What is handed on: the same thing is the same content, whoever names it."""

import json
from pathlib import Path

import pytest

from mrcert_pl.data.records import Record
from mrcert_pl.errors import ResultsError
from mrcert_pl.views.wandb import Artifact, checkpoint_artifact, dataset_artifact, outcome_artifact, tables_artifact

RECORDS = [Record(0, 3, "0.png"), Record(1, 4, "1.png")]


def test_a_data_set_is_known_by_its_images() -> None:
    artifact = dataset_artifact("digits", "test", RECORDS)
    assert (artifact.kind, artifact.name, artifact.facts["images"]) == ("dataset", "digits-test", 2)
    assert dataset_artifact("digits", "test", list(RECORDS)) == artifact
    assert json.loads(artifact.texts["images.json"]) == artifact.facts
    for other in (RECORDS[:1], [RECORDS[0], Record(1, 5, "1.png")], [RECORDS[0], Record(1, 4, "2.png")]):
        assert dataset_artifact("digits", "test", other).texts != artifact.texts


def test_a_checkpoint_is_named_by_what_it_was_trained_for(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    path.touch()
    origin = {"dataset": "digits", "name": "vit_srf", "patch": "2%", "stage": "one", "model": "ViTSRF"}
    artifact = checkpoint_artifact(path, origin, "abc")
    assert artifact.name == "digits-vit_srf-p2"
    assert artifact.references == {"checkpoint.ckpt": path}
    assert (artifact.facts["weights_sha256"], artifact.facts["path"]) == ("abc", str(path))
    assert checkpoint_artifact(path, origin | {"stage": "srf_vanilla"}).name == "digits-vit_srf-srf_vanilla-p2"
    assert checkpoint_artifact(path, {"model": "ViTSRF"}).name == "best"


def test_what_a_run_leaves(tmp_path: Path) -> None:
    for name in (
        "config.yaml",
        "results.json",
        "verdicts.parquet",
        "locations.npz",
        "breaks/3_0.npz",
        "csv/metrics.csv",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert set(outcome_artifact(tmp_path, "run", {}).files) == {
        "config.yaml",
        "results.json",
        "verdicts.parquet",
        "locations.npz",
        "breaks/3_0.npz",
    }


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"W&B cannot record .*nowhere, which does not exist"):
        tables_artifact(tmp_path / "nowhere", "digits", "abc")


@pytest.mark.parametrize(
    ("name", "allowed"), [("digits, attacked", "digits-attacked"), ("p2%", "p2"), ("a.b_c", "a.b_c")]
)
def test_names_are_made_of_what_is_allowed(name: str, allowed: str) -> None:
    assert Artifact("dataset", name).name == allowed
