"""Settings are frozen, and refuse bad values when they are made."""

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from foreign_model import Columns

from mrcert_pl import (
    AttackSettings,
    CertificateAuditSettings,
    DatasetSettings,
    EvaluationSettings,
    ModelSettings,
    NumericsSettings,
    PlanSettings,
    PredictionSettings,
    RecipeSettings,
    RunSettings,
    TrainerSettings,
    TrainingSettings,
)
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import BlackBox
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.tasks.progress import untracked
from mrcert_pl.tasks.push import PushSettings

WHOLE = "{} must be a whole number of at least {}, got {}"
BAD: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (RunSettings, {"seed": -1}, WHOLE.format("seed", 0, -1)),
    (RunSettings, {"seed": 1.5}, WHOLE.format("seed", 0, 1.5)),
    (RunSettings, {"seed": True}, WHOLE.format("seed", 0, True)),
    (RunSettings, {"seed": None}, WHOLE.format("seed", 0, None)),
    (RunSettings, {"seed": 2**32}, "seed must be at most 4294967295, got 4294967296"),
    *(
        (
            DatasetSettings,
            {"module": module},
            f"dataset.module must be the name of a Python module, such as my_images, got {module!r}",
        )
        for module in ("", "..", ".a", "a/b", 3, ["a"])
    ),
    (DatasetSettings, {"download": None}, "dataset.download must be true or false, got None"),
    (DatasetSettings, {"resize": "x"}, "unknown dataset.resize 'x'; choose one of: crop, whole"),
    (DatasetSettings, {"workers": -1}, WHOLE.format("dataset.workers", 0, -1)),
    (DatasetSettings, {"limit": 0}, WHOLE.format("dataset.limit", 1, 0)),
    (DatasetSettings, {"limit": "8"}, WHOLE.format("dataset.limit", 1, "'8'")),
    (RecipeSettings, {"epochs": 0}, WHOLE.format("recipe.epochs", 1, 0)),
    (RecipeSettings, {"batch_size": 0.5}, WHOLE.format("recipe.batch_size", 1, 0.5)),
    (
        RecipeSettings,
        {"mask_orders": 3},
        "recipe.mask_orders must be a list of numbers of masks, such as",
    ),
    (RecipeSettings, {"mask_orders": ["a"]}, WHOLE.format("recipe.mask_orders", 0, "'a'")),
    (
        RecipeSettings,
        {"mask_orders": []},
        "recipe.mask_orders must be a list of numbers of masks, such as [0,1,2], got",
    ),
    (RecipeSettings, {"mask_strides": []}, "recipe.mask_strides must be a list of strides, such as [4,2], got []"),
    (RecipeSettings, {"mask_patch": 0}, "at least 1 px"),
    (RecipeSettings, {"mask_heaviest": 2}, "recipe.mask_heaviest must be at most 1, got 2"),
    (RecipeSettings, {"masks_per_batch": None}, "recipe.masks_per_batch must be true or false, got None"),
    (RecipeSettings, {"augmentation": 3}, "recipe.augmentation must have names and values"),
    (RecipeSettings, {"mask_heaviest": "a"}, "recipe.mask_heaviest must be a number of at least 0, got 'a'"),
    (RecipeSettings, {"finetuning": {"optimizer": 3}}, "recipe.finetuning.optimizer must have names and values"),
    (CertificateAuditSettings, {"adaptive": 3}, "adaptive must have names and values, such as {name: value}, got 3"),
    (
        CertificateAuditSettings,
        {"adaptive": {"seed": 3}},
        "unknown setting of adaptive 'seed'; choose one of: ",
    ),
    (PlanSettings, {"seed": "a"}, WHOLE.format("seed", 0, "'a'")),
    (TrainerSettings, {"options": {"max_epochs": "a"}}, WHOLE.format("trainer.max_epochs", -1, "'a'")),
    (
        TrainerSettings,
        {"precision": "64-true"},
        "unknown trainer.precision '64-true'; choose one of: 16-mixed, 32-true, bf16-mixed",
    ),
    (TrainerSettings, {"options": {"max_epochs": 0}}, "trainer.max_epochs must be at least 1, or -1 for no end, got 0"),
    (
        TrainerSettings,
        {"options": {"gradient_clip_val": -1}},
        "trainer.gradient_clip_val must be a number of at least 0",
    ),
    (TrainerSettings, {"options": {"log_every_n_steps": "a"}}, WHOLE.format("trainer.log_every_n_steps", 0, "'a'")),
    *(
        (TrainerSettings, {"options": {"check_val_every_n_epoch": each}}, "trainer.check_val_every_n_epoch must be a")
        for each in (0, "a", None)
    ),
    *(
        (kind, {"patch": patch}, message)
        for kind in (EvaluationSettings, AttackSettings, TrainingSettings, PlanSettings, PredictionSettings)
        for patch, message in ((0, "at least 1 px"), ("wide", "can't read the patch size 'wide'"))
    ),
    (TrainingSettings, {"patches": 0}, WHOLE.format("patches", 1, 0)),
    (TrainingSettings, {"compile": "a"}, "compile must be true or false, got 'a'"),
    (TrainingSettings, {"stage": "two"}, "unknown stage 'two'; choose one of: one, split, srf_vanilla"),
    (TrainingSettings, {"stage": "split", "model": ModelSettings("masked_vit")}, "give stage=one"),
    (EvaluationSettings, {"patches": 0}, WHOLE.format("patches", 1, 0)),
    (EvaluationSettings, {"batch_size": 1.5}, WHOLE.format("batch_size", 1, 1.5)),
    (EvaluationSettings, {"batch_size": 0}, WHOLE.format("batch_size", 1, 0)),
    (EvaluationSettings, {"token_budget": 0}, WHOLE.format("token_budget", 1, 0)),
    (EvaluationSettings, {"evaluate": "some"}, "unknown evaluation (evaluate=) 'some'; choose one of: full, lazy"),
    (EvaluationSettings, {"examples": -1}, WHOLE.format("examples", 0, -1)),
    (EvaluationSettings, {"examples": True}, WHOLE.format("examples", 0, True)),
    (EvaluationSettings, {"examples": 1.5}, "examples must be a number of images or a list of their ids, got 1.5"),
    (EvaluationSettings, {"examples": "all"}, "examples must be a number of images or a list of their ids, got 'all'"),
    (EvaluationSettings, {"reported": 3}, "reported must have names and values, such as {name: value}, got 3"),
    (EvaluationSettings, {"reported": {"cert": 0.5}}, "unknown accuracy (reported=) 'cert'"),
    (EvaluationSettings, {"reported": {"clean": "a"}}, "reported.clean must be a number of at least 0, got 'a'"),
    (EvaluationSettings, {"reported": {"clean": 7}}, "reported.clean must be at most 1, got 7"),
    *(
        (kind, {"stride": stride}, f"stride must be a whole number of at least 1, or two of them, got {stride!r}")
        for kind in (EvaluationSettings, AttackSettings, TrainingSettings)
        for stride in (0, "a", [1], [1, 2, 3], [1, "a"], 1.5)
    ),
    *(
        (kind, {"store": store}, f"store must be a folder or last, got {store!r}")
        for kind in (EvaluationSettings, AttackSettings)
        for store in ([1], "")
    ),
    (AttackSettings, {"batch_size": 0}, WHOLE.format("batch_size", 1, 0)),
    (AttackSettings, {"examples": -1}, WHOLE.format("examples", 0, -1)),
    (CertificateAuditSettings, {"step_px": 0}, WHOLE.format("step_px", 1, 0)),
    (CertificateAuditSettings, {"exemplars": -1}, WHOLE.format("exemplars", 0, -1)),
    (CertificateAuditSettings, {"token_budget": 0}, WHOLE.format("token_budget", 1, 0)),
    (NumericsSettings, {"mutants": 0}, WHOLE.format("mutants", 1, 0)),
    (PlanSettings, {"patches": 0}, WHOLE.format("patches", 1, 0)),
    (PlanSettings, {"strides": 4}, "strides must be a list, got 4"),
    (PlanSettings, {"strides": None}, "strides must be a list, got None"),
    (PlanSettings, {"strides": (1, 0)}, WHOLE.format("strides", 1, 0)),
    (PlanSettings, {"strides": ([2, 2],)}, WHOLE.format("strides", 1, [2, 2])),
    (PlanSettings, {"refine": "4"}, "refine must be a list, got '4'"),
    (PlanSettings, {"token_budget": 0}, WHOLE.format("token_budget", 1, 0)),
    (PlanSettings, {"variants": {"split": 6}}, "values of model.split must be a list, got 6"),
    (PlanSettings, {"variants": {"split": []}}, "values of model.split must be at least one, got none"),
    (PlanSettings, {"variants": {"split": ["a"]}}, WHOLE.format("model.split", 0, "'a'")),
    (PlanSettings, {"variants": {"window": [14, 1]}}, "model.window must be a height and a width in tokens, such as"),
    (PlanSettings, {"variants": {"window": [[14, 1, 2]]}}, "such as [14,1], got [14, 1, 2]"),
    (PlanSettings, {"seconds": -1}, "budget.seconds must be a number of at least 0, got -1"),
    (PlanSettings, {"gflops": float("nan")}, "budget.gflops must be a number of at least 0, got nan"),
    (PredictionSettings, {"class_names": 3}, "class_names must be a list of names, got 3"),
    (PredictionSettings, {"class_names": "a"}, "class_names must be a list of names, got 'a'"),
    (PredictionSettings, {"resize": ""}, "unknown resize ''; choose one of: crop, whole"),
    (PushSettings, {"folder": Path("a"), "private": "a"}, "private must be true or false, got 'a'"),
    (PushSettings, {"folder": Path("a"), "training": 3}, "training must be a text, got 3"),
    (PredictionSettings, {"batch_size": 0}, WHOLE.format("batch_size", 1, 0)),
    (PredictionSettings, {"token_budget": -5}, WHOLE.format("token_budget", 1, -5)),
    (PredictionSettings, {"require": "label"}, "unknown require 'label'; choose one of: certificate, round_trip"),
]


@pytest.mark.parametrize(("kind", "values", "message"), BAD, ids=[f"{k.__name__}-{v}" for k, v, _ in BAD])
def test_bad_values_are_refused(kind: Callable[..., Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        kind(**values)


KINDS = (
    AttackSettings,
    CertificateAuditSettings,
    DatasetSettings,
    EvaluationSettings,
    ModelSettings,
    NumericsSettings,
    PlanSettings,
    PredictionSettings,
    RecipeSettings,
    RunSettings,
    TrainerSettings,
    TrainingSettings,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_settings_have_defaults_are_frozen_and_document_every_field(kind: Callable[..., Any]) -> None:
    settings = kind()
    documented = "".join(str(base.__doc__) for base in type(settings).__mro__)
    for field in dataclasses.fields(settings):
        assert re.search(rf"^ +{field.name}:", documented, re.MULTILINE), field.name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, field.name, None)


def test_runs_without_a_folder_have_different_ones() -> None:
    assert RunSettings().folder != RunSettings().folder
    assert RunSettings().folder.parent == Path("outputs")


def test_without_progress_a_loop_is_the_items() -> None:
    assert list(untracked([1, 2], "Counting", 2)) == [1, 2]


def test_a_random_head_gives_no_verdicts(tmp_path: Path) -> None:
    small = {"embed_dim": 32, "depth": 1, "num_heads": 2}
    name, file = "vit_tiny_patch16_224", tmp_path / "weights.pth"
    torch.save(timm.create_model(name, num_classes=9, **small).state_dict(), file)
    arguments = {"backbone": name, "pretrained": False, "patch": 32, "masks_per_axis": 3, "backbone_args": small}
    loaded = {**arguments, "weights": file}
    example = r"not one of 2 classes, and a new one would give random labels; name .*'model\.head_rows=\[217,566\]'"
    with pytest.raises(ConfigurationError, match=example):
        ModelSettings("blackbox", loaded).make_without_training(2)
    for settings, classes in ((loaded, 9), ({**loaded, "head_rows": [3, 4]}, 2), (arguments, 2)):
        assert ModelSettings("blackbox", settings).make_without_training(classes).num_classes == classes


@pytest.mark.parametrize(("build", "warned"), [(None, True), (BlackBox, True), (Columns, False)])
def test_random_weights_are_named(
    caplog: pytest.LogCaptureFixture, build: type[BaseModel] | None, warned: bool
) -> None:
    small: dict[str, Any] = {"backbone": "test_resnet", "patch": 15, "masks_per_axis": 3, "image_px": (64, 64)}
    arguments = {} if build is Columns else {**small, "pretrained": False}
    ModelSettings("blackbox", arguments, build).make_without_training(2)
    assert ("the weights of model=blackbox are random: name a checkpoint" in caplog.text) == warned


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(ModelSettings("vit").make, 10), "unknown model 'vit'; choose one of: blackbox, column_vit"),
        (DatasetSettings("digit").describe, "unknown data set 'digit'"),
        (partial(TrainerSettings("cpu", options={"epoch": 1}).make, Path(), (), ()), "Lightning refuses.*epoch"),
        (partial(TrainerSettings("tpus").make, Path(), (), ()), "Lightning refuses"),
    ],
)
def test_names_that_are_unknown(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_a_missing_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="no GPU was found; give trainer=cpu"):
        TrainerSettings("gpu").make(Path(), (), ())


def test_a_class_of_ones_own_is_built() -> None:
    def build(num_classes: int, width: int) -> Any:
        return num_classes * width

    assert ModelSettings("mine", {"width": 3}, build).make(2) == 6
