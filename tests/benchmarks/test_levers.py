"""The levers of the training: commands that compose, and a table of what is there."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from benchmarks import levers
from benchmarks.levers import LEVERS, Lever, accuracies, lever_jobs, table
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE

HEADER = "epoch,val/base_accuracy,val/certified_accuracy,val/round_trip_accuracy,train/loss\n"


def metrics(out: Path, lever: str, seed: int, lines: str) -> None:
    folder = out / f"levers/{lever}/seed{seed}/train/csv"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(HEADER + lines)


def test_all_trainings_compose_with_equal_validation_and_distinct_files() -> None:
    planned = lever_jobs(Path("/out"), Path("/data"), Path("/weights.safetensors"), ("trainer=cpu",))
    assert len(planned) == len({job.name for job in planned}) == sum(lever.seeds for lever in LEVERS)
    published = set()
    for job in planned:
        with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
            made = compose(job.command, overrides=list(job.overrides))
        assert made.callbacks.mutant_predictions.images == 475
        assert made.trainer.check_val_every_n_epoch == made.recipe.epochs
        assert (made.dataset.root, made.model.weights) == ("/data/imagenette", "/weights.safetensors")
        assert job.name == f"levers/{job.name.split('/')[1]}/seed{made.seed}/train"
        published.add(made.checkpoint)
    assert len(published) == len(planned)


def test_the_recipe_is_what_helped() -> None:
    (job,) = [
        job for job in lever_jobs(Path("/out"), None, None) if job.name.startswith("levers/distillation_heaviest/seed0")
    ]
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        measured = compose("train", overrides=list(job.overrides)).recipe
        recipe = compose("train", overrides=["recipe=distilled", "model=masked_vit", "dataset=imagenette"]).recipe
    assert measured == recipe


def test_the_table_has_means_and_deviations_over_seeds(tmp_path: Path) -> None:
    metrics(tmp_path, "a", 0, "0,,,,1.0\n1,0.9,0.6,0.4,\n1,1.0,0.8,0.6,\n")
    metrics(tmp_path, "a", 1, "1,1.0,0.8,0.4,\n")
    metrics(tmp_path, "b", 0, "1,1.0,0.8,0.2,\n")
    found = table(tmp_path, [Lever("a", seeds=3), Lever("b", epochs=9), Lever("c")]).splitlines()
    assert found[2:] == ["| a | 6 | 2 | 475.0, 0.0 | 380.0, 0.0 | 237.5, 67.2 |", "| b | 9 | 1 | 475 | 380 | 95 |"]
    assert accuracies(tmp_path / "levers/c") is None


def test_the_list_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levers.main(["--list", "--out", str(tmp_path), "--only", "levers/none_*"])
    assert capsys.readouterr().out.split() == [
        word
        for name in ("none_30", "none_12", "none_3", "none_1")
        for word in ("missing", f"levers/{name}/seed0/train")
    ]
