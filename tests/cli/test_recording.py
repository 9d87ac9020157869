"""What the commands show of themselves in W&B, read back from the files of offline runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from offline_run import OfflineRun, finished_run
from plain_results import read_results, read_verdicts
from tiny import TINY

Command = Callable[..., None]

AUDITED = [*TINY, "patch=32", "logger=wandb"]
SMALL = [*AUDITED, "trainer=cpu"]
TRAIN = ["train", *SMALL, "dataset.limit=32", "recipe.batch_size=8", "trainer.max_epochs=2"]
TRAIN += ["callbacks.mutant_predictions.images=2"]
EVAL = ["eval", *SMALL, "dataset.limit=5"]
ATTACK = ["attack", *SMALL, "images=3", "attack.starts=2", "attack.steps=2"]
CERTIFICATES = ["audit", "certificates", *AUDITED, "images=3", "step_px=100", "adaptive.steps=1", "device=cpu"]
NUMERICS = ["audit", "numerics", *AUDITED, "images=2", "mutants=3"]


@pytest.fixture
def recorded(command: Command) -> Callable[..., list[OfflineRun]]:
    """Runs a command, and gives the W&B runs that it has left."""

    def run(*arguments: str) -> list[OfflineRun]:
        before = files()
        command(*arguments)
        return [finished_run(file) for file in sorted(files() - before, key=lambda file: file.stat().st_mtime)]

    return run


def files() -> set[Path]:
    return set(Path("outputs").rglob("offline-run-*/run-*.wandb"))


def test_from_training_to_an_evaluation_under_attack(recorded: Callable[..., list[OfflineRun]]) -> None:
    (training,) = recorded(*TRAIN)
    assert training.name == "train digits vit_srf p32 mrcert"
    assert (training.group, training.job_type, training.exit_code) == ("", "train", 0)
    keys = {key for row in training.history for key in row}
    assert {"train/loss", "train/images_per_second", "val/loss", "val/unmasked_accuracy"} <= keys
    best = training.summary["val/certified_accuracy"]["max"]
    assert training.summary["best/certified_accuracy"] == pytest.approx(best)
    assert training.config["recipe"]["batch_size"] == 8
    assert training.used()["dataset"].name == "digits-train-val"
    assert training.made()["model"].name == "digits-vit_srf-p32"

    evaluations = recorded("eval", "-m", *EVAL[1:], "defender=mrcert_sharp,patchcure")
    assert [run.config["about"]["defender"] for run in evaluations] == ["mrcert_sharp", "patchcure"]
    assert len({run.group for run in evaluations}) == 1
    assert evaluations[0].group.startswith("eval 20")
    for run in evaluations:
        assert run.used()["dataset"].name == "digits-test"
        assert run.used()["model"].digest == training.made()["model"].digest
        sent = {content.path for content in run.made()["results"].manifest.contents}
        assert sent >= {"config.yaml", "results.json", "verdicts.parquet"}

    (attack,) = recorded(*ATTACK)
    assert attack.used()["model"].digest == training.made()["model"].digest
    assert attack.summary["attack/n"] == 3
    images = attack.table("attack/images")
    assert len(images["data"]) == 3
    assert set(images["data"][0][1]["masks"]) == {"patch"}

    (folder,) = Path("outputs/attack").rglob("attacked")
    (defended,) = recorded("eval", "dataset=attacked", f"dataset.path={folder}", *SMALL[-2:])
    assert defended.used()["attacked"].digest == attack.made()["attacked"].digest
    assert "dataset" not in defended.used()
    assert defended.config["about"]["dataset"] == "digits, attacked"

    before = files()
    with pytest.raises(SystemExit, match="1"):
        recorded(*CERTIFICATES, "defender=undefended")
    certificates = finished_run(*(files() - before))
    assert (certificates.job_type, certificates.exit_code) == ("audit_certificates", 1)
    assert (certificates.summary["audit/certified"], certificates.summary["audit/labels_broken"]) == (0, 0)
    assert certificates.summary["audit/mutants_per_second"] > 0
    assert certificates.table("audit/certificates_table")["columns"][0] == "patch"
    (numerics,) = recorded(*NUMERICS)
    assert 0 <= numerics.summary["audit/delta_float32"] <= numerics.summary["audit/margin_float32"]
    for audit in (certificates, numerics):
        assert audit.used()["model"].digest == training.made()["model"].digest
        assert "results" in audit.made()


def test_an_evaluation_shows_its_verdicts(command: Command, recorded: Callable[..., list[OfflineRun]]) -> None:
    command(*TRAIN, "logger=csv")
    (run,) = recorded(*EVAL, "defender=mrcert_sharp")
    (file,) = Path("outputs/eval").rglob("results.json")
    result = read_results(file)
    for name, accuracy in result["accuracy"].items():
        assert run.summary[f"test/{name}"] == pytest.approx(accuracy["measured"])
    assert run.summary["test/mutants_per_second"] == pytest.approx(439 * run.summary["test/images_per_second"])
    assert run.summary["test/mutants_per_image"] == 439
    assert set(run.charts) == {"evaluation/accuracy", "evaluation/cases", "evaluation/locations"}
    assert run.table("evaluation/accuracy_table")["columns"] == ["accuracy", "measured"]
    assert sum(row[2] for row in run.table("evaluation/cases_table")["data"]) == 5
    locations = run.table("evaluation/locations_table")["data"]
    assert {row[1] for row in locations} == {"from left to right", "from top to bottom"}
    assert max(row[0] for row in locations) == 224 - 32
    verdicts = run.table("evaluation/verdicts")
    assert len(verdicts["data"]) == 5
    overlays = [set(row[0]["masks"]) for row in verdicts["data"]]
    assert all("map" in names for names in overlays)
    witnesses = sum(row["witness"] >= 0 for row in read_verdicts(file.with_name("verdicts.parquet")))
    assert sum("witness" in names for names in overlays) == witnesses

    (mutants,) = Path("outputs/eval").rglob("mutants")
    (again,) = recorded(*EVAL, "defender=patchcure", f"table={mutants}", "checkpoint=nowhere")
    assert again.used()["mutants"].digest == run.made()["mutants"].digest
    assert again.summary["test/n"] == 5


def test_the_second_stage_of_a_training_names_the_first(recorded: Callable[..., list[OfflineRun]]) -> None:
    authors = [*TRAIN, "recipe=authors", "trainer.max_epochs=1"]
    (first,) = recorded(*authors, "stage=srf_vanilla")
    assert "best/unmasked_accuracy" in first.summary
    assert first.made()["model"].name == "digits-vit_srf-srf_vanilla-p32"
    (second,) = recorded(*authors, "stage=split")
    assert second.used()["model"].digest == first.made()["model"].digest


def test_audits_may_share_a_folder(command: Command, recorded: Callable[..., list[OfflineRun]]) -> None:
    command(*TRAIN, "logger=csv")
    shared = "hydra.run.dir=outputs/shared"
    (numerics,) = recorded(*NUMERICS, shared)
    before = files()
    # Nothing is certified by weights of two epochs: the audit says so after it has left its result.
    with pytest.raises(SystemExit):
        recorded(*CERTIFICATES, "defender=undefended", shared)
    certificates = finished_run(*(files() - before))
    assert {path.name for path in Path("outputs/shared").glob("*.json")} == {"numerics.json", "certificates.json"}
    for run, number in ((numerics, "audit/delta_float32"), (certificates, "audit/labels_broken")):
        assert run.summary[number] >= 0
        assert "results" in run.made()
