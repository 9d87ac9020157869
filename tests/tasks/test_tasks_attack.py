"""``mrcert_pl.attack`` from Python, and evaluation of what it leaves."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from foreign_model import Grid
from small_tasks import CPU

from mrcert_pl import AttackSettings, DatasetSettings, EvaluationSettings, RunSettings, attack, evaluate
from mrcert_pl.attacks import PatchIFGSM
from mrcert_pl.data.attacked_header import read_header
from mrcert_pl.errors import ConfigurationError, DataError, ResultsError
from mrcert_pl.models import ViTSRF
from mrcert_pl.results import AttackResult

Run = Callable[..., RunSettings]
QUICK = partial(PatchIFGSM, starts=2, steps=1)


def settings(run: RunSettings, **changed: Any) -> AttackSettings:
    known: dict[str, Any] = {"dataset": DatasetSettings(limit=3), "patch": 32, "attack": QUICK, "trainer": CPU}
    return AttackSettings(**{**known, "run": run, **changed})


def test_attack_then_evaluate(tiny_vit: ViTSRF, run: Run) -> None:
    done = attack(settings(run("attack"), model=tiny_vit, examples=2))
    result = done.result
    assert result == AttackResult.read(done.folder / "results.json")
    assert (result.n, result.before.n, result.after.n) == (3, 3, 3)
    assert result.successes == 3 - result.after.count
    assert (result.attack, result.attack_settings["starts"]) == ("ifgsm", 2)
    # Those with the highest loss, below the patch alone.
    assert [example.loss for example in done.examples] == sorted((e.loss for e in done.examples), reverse=True)
    for example in done.examples:
        assert example.patch.sum() == 32 * 32
        assert abs(example.before - example.after)[~example.patch].max() < 1 / 255 + 1e-6

    attacked = DatasetSettings("attacked", root=done.attacked)
    defended = evaluate(
        EvaluationSettings(
            model=tiny_vit,
            patch=32,
            dataset=attacked,
            defender="patchcure",
            trainer=CPU,
            examples=2,
            run=run("evaluation"),
        )
    )
    assert defended.result.dataset == "digits, attacked"
    assert defended.result.accuracy["base"].count == result.after.count
    assert defended.result.accuracy["adversarial_certified"].n == result.successes
    for defence in defended.defences:
        assert defence.attacked.shape == (224, 224, 3)
        assert defence.original is not None
        assert abs(defence.attacked - defence.original)[~defence.patch].max() < 1 / 255 + 1e-6


def test_a_model_of_somebody_else_without_a_checkpoint(run: Run) -> None:
    done = attack(settings(run(), model=Grid(), patch="4x8"))
    header = read_header(done.attacked)
    assert (header.model_kind, header.model_name, header.checkpoint, header.patch) == ("", "Grid", "", "4x8")


def test_finished_images_are_not_attacked_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.manual_seed(0)
    model = Grid()
    first = attack(settings(run("a"), model=model, patch=8, store=tmp_path / "set"))
    monkeypatch.setattr(PatchIFGSM, "attack", lambda *_: pytest.fail("an image was attacked"))
    again = attack(settings(run("b"), model=model, patch=8, store=str(tmp_path / "set")))
    assert again.result.after == first.result.after
    with pytest.raises(DataError, match="was made by something else:\n  attack\\.patch: 8 in the set, 16 here"):
        attack(settings(run("c"), model=model, patch=16, store=tmp_path / "set"))


def test_the_authors_space_needs_a_mean_and_a_deviation(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="needs a model with a mean and a standard deviation, not Grid"):
        attack(settings(run(), model=Grid(), patch=8, attack=partial(QUICK, space="authors")))


def test_a_result_is_never_overwritten(run: Run) -> None:
    attack(settings(run(), model=Grid(), patch=8))
    with pytest.raises(ResultsError, match=r"results\.json is the result of an earlier run and is not overwritten"):
        attack(settings(run(), model=Grid(), patch=8))
