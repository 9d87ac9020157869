"""Settings of tasks from configurations."""

import sys
from pathlib import Path
from typing import Any

import pytest
from composition import composed
from hydra.errors import InstantiationException
from lightning.pytorch.loggers import CSVLogger

from mrcert_pl.attacks import LocationSearch
from mrcert_pl.cli import task_settings
from mrcert_pl.cli.app import completed, explain
from mrcert_pl.data import ImageDataModule
from mrcert_pl.defenders import OutputLevel
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import AblatedViT, MaskedViT, ViTSRF

EVALUATION = ["patch=32", "patches=1", "seed=3", "dataset.limit=5", "defender=mrcert_sharp", "batch_size=2"]


def of(command: str, *overrides: str) -> Any:
    return completed(composed(command, *overrides))


def test_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["eval.py", *EVALUATION])
    settings = task_settings.evaluation_settings(
        of("eval", *EVALUATION, "store=last", "trainer=ddp_cpu", "reported={certified: 0.5}", "examples=[3,1]")
    )
    assert settings.checkpoint == Path("checkpoints/digits/vit_srf_p32/best.ckpt")
    assert (settings.patch, settings.patches, settings.stride, settings.batch_size) == (32, 1, 1, 2)
    assert (settings.dataset.name, settings.dataset.limit, settings.dataset.build) == ("digits", 5, ImageDataModule)
    assert (settings.store, settings.table, settings.evaluate) == ("last", None, None)
    assert settings.mode == "full"
    assert settings.examples == [3, 1]
    assert settings.reported == {"certified": 0.5}
    defender: Any = settings.defender
    assert (defender.name, defender.patches) == ("mrcert_sharp", 1)
    assert (settings.trainer.accelerator, settings.trainer.devices, settings.trainer.strategy) == ("cpu", 2, "ddp")
    assert settings.run.seed == 3
    assert settings.run.folder == Path("run")
    assert settings.run.command == f"eval.py {' '.join(EVALUATION)}"
    assert settings.run.config["defender"]["name"] == "mrcert_sharp"
    assert [type(logger) for logger in settings.run.loggers] == [CSVLogger]
    assert settings.made_by == "mrcert train dataset=digits model=vit_srf patch=32 patches=1"


@pytest.mark.parametrize(
    ("model", "kind", "stride"), [("vit_srf", ViTSRF, 1), ("masked_vit", MaskedViT, 3), ("column_vit", AblatedViT, 1)]
)
def test_the_model_of_a_configuration(model: str, kind: type, stride: int) -> None:
    cfg = of("eval", f"model={model}", "patch=32")
    settings = task_settings.model_settings(cfg)
    assert (settings.name, settings.build) == (model, kind)
    assert not {"name", "_target_", "stride"} & {*settings.arguments}
    assert isinstance(settings.make(10), kind)
    assert task_settings.evaluation_settings(cfg).stride == cfg.stride


def test_only_arguments_that_the_command_line_names_are_required() -> None:
    named = ["model=vit_srf", "model.window=[14,2]", "++model.backbone_args.depth=2", "batch_size=3"]
    cfg = of("eval", *named)
    assert task_settings.required_arguments(cfg) == {"name": "vit_srf", "window": [14, 2], "backbone_args.depth": 2}
    assert task_settings.required_arguments(of("eval", "defender=mrcert", "~debug")) == {}


@pytest.mark.parametrize(("stage", "published"), [("one", "best.ckpt"), ("srf_vanilla", "srf_vanilla.ckpt")])
def test_a_training(stage: str, published: str) -> None:
    cfg = of("train", f"stage={stage}", "recipe.epochs=3", "ckpt_path=last", "compile=true")
    settings = task_settings.training_settings(cfg)
    assert (settings.stage, settings.recipe.epochs, settings.resume, settings.compile) == (stage, 3, "last", True)
    assert settings.publish == Path(f"checkpoints/digits/vit_srf_p16/{published}")
    assert "_target_" not in settings.recipe.finetuning
    assert set(settings.callbacks or {}) == {"mutant_predictions", "checkpoint", "resume", "seeds"}
    checkpoint: Any = (settings.callbacks or {})["checkpoint"]
    assert checkpoint.monitor == cfg.monitors[stage]
    assert (settings.made_by or "").endswith("stage=srf_vanilla")
    draft = task_settings.training_settings(cfg, loggers=False)
    assert (draft.callbacks, draft.run.loggers) == ({}, ())
    assert draft.identity() == settings.identity()
    assert task_settings.training_settings(cfg, resume=Path("a.ckpt")).resume == "a.ckpt"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["refine_threshold=0.7"], "refine_threshold must be left out without refine=, the strides of larger masks"),
        (
            ["refine=null", "refine_limit=3", "refine_threshold=0.7"],
            "refine_limit and refine_threshold must be left out",
        ),
        (["refine=[]"], "refine= needs the stride of at least one set of larger masks"),
        (["refine=4", "refine_threshold=2"], r"\(refine_threshold\) must be between 0 and 1, got 2"),
        (["checkpoint=''"], "checkpoint must be a path, got ''"),
        (["table=''"], "table must be a path, got ''"),
        (["numerics=''"], "numerics must be a path, got ''"),
        (["reported=''"], "reported must have names and values"),
        (["dataset=folder", "dataset.root=3"], r"dataset\.root must be a path, got 3"),
        (["dataset=attacked", "dataset.path=''"], r"dataset\.path must be a path, got ''"),
        (["dataset=folder", "dataset.labels=[a]"], r"dataset\.labels must be a path, got \['a'\]"),
        (["dataset._target_=null"], r"dataset\._target_ must be the import path of a class, got None"),
        (["model._target_=nowhere.Model"], r"model\._target_ must be the import path of a class, got 'nowhere\.Model'"),
        (["defender._target_=nowhere"], r"defender\._target_ must be the import path of a class, got 'nowhere'"),
        (["defender._target_=null"], r"defender\._target_ must be the import path of a class, got None"),
        (
            ["logger.csv.flush_logs_every_n_steps=0"],
            r"flush_logs_every_n_steps must be a whole number of at least 1, got",
        ),
        (["defender.name=3"], "unknown defender 3; choose one of: hicert, "),
        (["+defender.foo=3"], "the settings of defender don't work: .*unexpected keyword argument 'foo'"),
    ],
)
def test_settings_that_cannot_work(settings: list[str], message: str) -> None:
    cfg = of("eval", "patch=32", *settings)
    with pytest.raises((ConfigurationError, InstantiationException), match=message) as error:
        task_settings.evaluation_settings(cfg)
    assert (explain(error.value) or "").count("\n") == 0


def test_a_multirun_may_vary_the_refinement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRCERT_STARTED", "now")
    settings = ["patch=32", "hydra.mode=MULTIRUN", "refine_limit=3"]
    assert not isinstance(task_settings.evaluation_settings(of("eval", *settings, "refine=null")).defender, Refined)
    with pytest.raises(ConfigurationError, match="refine_limit must be left out without refine="):
        task_settings.evaluation_settings(of("eval", *settings))


def test_null_takes_a_callback_and_a_logger_away() -> None:
    settings = task_settings.training_settings(of("train", "callbacks.seeds=null", "logger.csv=null"))
    assert set(settings.callbacks or {}) == {"mutant_predictions", "checkpoint", "resume"}
    assert settings.run.loggers == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("recipe.finetuning=null", r"recipe\.finetuning must have names and values"),
        ("+recipe.lr=3", r"there is no setting recipe\.lr; there are: augmentation, batch_size, "),
    ],
)
def test_recipes_that_cannot_work(setting: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        task_settings.training_settings(of("train", setting))


@pytest.mark.parametrize("results", ["3", "[3]", "''"])
def test_results_to_publish_are_paths(results: str) -> None:
    cfg = composed("push", "checkpoint=a.ckpt", "folder=b", "patch=32", f"results={results}")
    with pytest.raises(ConfigurationError, match="results must be a path, got "):
        task_settings.push_settings(cfg)


def test_attacks_and_audits() -> None:
    attack = task_settings.attack_settings(of("attack", "attack=location", "attack.steps=2", "images=7", "examples=2"))
    assert isinstance(attack.attack(PatchSpec(32), seed=0), LocationSearch)
    assert (attack.dataset.limit, attack.examples) == (7, 2)
    for limit, both in ((3, 3), (9, 7)):
        limited = task_settings.attack_settings(of("attack", "images=7", f"dataset.limit={limit}"))
        assert limited.dataset.limit == both
    with pytest.raises(ConfigurationError, match=r"dataset\.limit must be a whole number"):
        task_settings.attack_settings(of("attack", "images=7", "dataset.limit=few"))
    audit = task_settings.certificate_audit_settings(of("audit_certificates", "adaptive.steps=3", "images=4"))
    assert (audit.dataset.limit, audit.step_px, audit.adaptive["steps"]) == (4, 56, 3)
    numerics = task_settings.numerics_settings(of("audit_numerics", "mutants=5"))
    assert (numerics.mutants, numerics.dataset.limit) == (5, 8)
    refined = ["refine=4", "refine_limit=7", "defender=patchcure", "thresholds=[0.5,0.6]"]
    thresholds = task_settings.threshold_settings(of("thresholds", *refined))
    assert (thresholds.thresholds, thresholds.dataset.limit, thresholds.batch_size) == ([0.5, 0.6], 64, 4)
    assert isinstance(thresholds.defender, Refined)
    assert (thresholds.defender.coarser, thresholds.defender.limit) == ((4,), 7)


def test_more_images_are_kept_for_wandb() -> None:
    given = ("logger=wandb", "examples=2")
    assert task_settings.evaluation_settings(of("eval", "examples=2")).examples == 2
    cfg = of("eval", *given)
    del cfg.logger.wandb._target_
    cfg.logger = {"csv": cfg.logger.csv, "wandb": cfg.logger.csv}
    assert task_settings.evaluation_settings(cfg).examples == 32


def test_plans() -> None:
    settings = task_settings.plan_settings(composed("plan", "windows=[[14,1],[2,2]]", "budget.seconds=null"))
    assert settings.variants == {"window": [[14, 1], [2, 2]]}
    assert (settings.strides, settings.seconds, settings.gflops) == ([1, 2, 3, 4, 5, 6], None, None)
    box = task_settings.plan_settings(composed("plan", "model=blackbox"))
    assert box.variants == {"masks_per_axis": [3, 4, 5, 6]}
    assert box.strides == ()


def test_predictions() -> None:
    settings = task_settings.prediction_settings(of("predict", "checkpoint=a.ckpt", "output=label"), [Path("a.png")])
    assert (settings.checkpoint, settings.model, settings.output) == (Path("a.ckpt"), None, OutputLevel.LABEL)
    assert settings.images == [Path("a.png")]
    service = task_settings.prediction_settings(composed("serve", "model=blackbox", "patch=32", "class_names=[a,b]"))
    assert service.model is not None
    assert (service.model.name, service.patch, service.class_names) == ("blackbox", 32, ["a", "b"])
