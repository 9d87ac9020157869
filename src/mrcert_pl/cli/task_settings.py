"""From the composed configuration to the settings of tasks."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.following import command_line
from mrcert_pl.cli.instantiate import class_of, made
from mrcert_pl.cli.tracking import Tracker
from mrcert_pl.defenders import Defender, OutputLevel
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.tasks.arguments import check_names
from mrcert_pl.tasks.attack import AttackSettings
from mrcert_pl.tasks.audit import CertificateAuditSettings, NumericsSettings
from mrcert_pl.tasks.checks import check_choice, check_mapping, check_number
from mrcert_pl.tasks.evaluation import EvaluationSettings
from mrcert_pl.tasks.plan import PlanSettings
from mrcert_pl.tasks.predict import PredictionSettings
from mrcert_pl.tasks.push import PushSettings
from mrcert_pl.tasks.settings import DatasetSettings, ModelSettings, RunSettings, TrainerSettings
from mrcert_pl.tasks.subject import SubjectSettings
from mrcert_pl.tasks.thresholds import ThresholdSettings
from mrcert_pl.tasks.training import STAGES, RecipeSettings, TrainingSettings

# Settings that are not arguments of the model class.
_ABOUT_THE_MODEL = ("name", "stride", "_target_")
_TRAINER_FIELDS = ("accelerator", "devices", "strategy", "precision")
# Images in a table of W&B.
_LOGGED_IMAGES = 32


def plain(node: Any) -> Any:
    """Return a node of the configuration as plain values, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def run_settings(cfg: DictConfig, loggers: bool = True) -> RunSettings:
    """Return folder, seed, loggers and record of the run; the configuration must be completed."""
    return RunSettings(
        folder=Path(cfg.paths.run_dir),
        seed=cfg.get("seed", 0),
        loggers=_loggers(cfg.logger) if loggers and "logger" in cfg else (),
        command=" ".join(sys.argv),
        config=plain(cfg),
        track=Tracker(),
    )


def _loggers(nodes: DictConfig) -> list[Logger]:
    """Return the loggers; ``null`` takes one away."""
    given = {str(name): node for name, node in nodes.items() if node is not None}
    for name, node in given.items():
        # Lightning divides by it in the first step.
        if (interval := "flush_logs_every_n_steps") in node:
            check_number(f"logger.{name}.{interval}", node[interval], 1)
    return [made(node) for node in given.values()]


def dataset_settings(cfg: DictConfig, limit: int | None = None) -> DatasetSettings:
    """Return the images of the configuration, at most the first ``limit`` of their seeded order."""
    node: Mapping[str, Any] = plain(cfg.dataset)
    own = node.get("limit")
    if limit is not None:
        check_number("images", limit, 1)
    # An invalid one is an error of the settings.
    if limit is None or (own is not None and (type(own) is not int or own < limit)):
        limit = own
    folder = "path" if "path" in node else "root"
    same = {name: node[name] for name in ("name", "download", "resize", "workers", "module") if name in node}
    return DatasetSettings(
        root=_as_path(f"dataset.{folder}", node.get(folder)),
        limit=limit,
        labels=_as_path("dataset.labels", node.get("labels")),
        build=class_of("dataset", node),
        **same,
    )


def model_settings(cfg: DictConfig) -> ModelSettings:
    """Return the base model of the configuration."""
    node: Mapping[str, Any] = plain(cfg.model)
    arguments = {name: value for name, value in node.items() if name not in _ABOUT_THE_MODEL}
    return ModelSettings(node["name"], arguments, class_of("model", node))


def trainer_settings(cfg: DictConfig) -> TrainerSettings:
    """Return devices, precision and length of a run."""
    node: Mapping[str, Any] = plain(cfg.trainer)
    options = {name: value for name, value in node.items() if name not in (*_TRAINER_FIELDS, "_target_")}
    return TrainerSettings(**{name: node[name] for name in _TRAINER_FIELDS if name in node}, options=options)


def training_settings(cfg: DictConfig, loggers: bool = True, resume: Path | None = None) -> TrainingSettings:
    """Return the settings of a training.

    Args:
        cfg: the completed configuration.
        loggers: whether to make the loggers, and the callbacks.
        resume: checkpoint to resume; default: that of ``ckpt_path``.
    """
    # Before the monitor of a stage is looked up.
    check_choice("stage", cfg.stage, STAGES)
    recipe: Mapping[str, Any] = plain(cfg.recipe)
    check_mapping("recipe.finetuning", recipe["finetuning"])
    check_names("recipe", RecipeSettings, list(recipe))
    finetuning = {name: value for name, value in recipe["finetuning"].items() if name != "_target_"}
    published = _given_path(cfg, "srf_checkpoint" if cfg.stage == "srf_vanilla" else "checkpoint")
    resumed = _path(cfg, "ckpt_path") if resume is None else resume
    return TrainingSettings(
        dataset=dataset_settings(cfg),
        model=model_settings(cfg),
        recipe=RecipeSettings(**{**recipe, "finetuning": finetuning}),
        srf_checkpoint=_given_path(cfg, "srf_checkpoint"),
        made_by=f"{command_line(cfg, 'train')} stage=srf_vanilla",
        defender=defender(cfg),
        callbacks=callbacks(cfg) if loggers else {},
        trainer=trainer_settings(cfg),
        resume=None if resumed is None else str(resumed),
        publish=published,
        run=run_settings(cfg, loggers),
        **_same(cfg, "patch", "patches", "stride", "stage", "compile"),
    )


def evaluation_settings(cfg: DictConfig) -> EvaluationSettings:
    """Return the settings of an evaluation."""
    examples = plain(cfg.examples)
    return EvaluationSettings(
        **_subject(cfg),
        dataset=dataset_settings(cfg),
        defender=defender(cfg),
        trainer=trainer_settings(cfg),
        table=_path(cfg, "table"),
        examples=max(examples, _LOGGED_IMAGES) if "wandb" in cfg.logger and isinstance(examples, int) else examples,
        numerics=_path(cfg, "numerics"),
        reported={} if cfg.reported is None else plain(cfg.reported),
        **_same(cfg, "batch_size", "evaluate", "store", "token_budget"),
    )


def attack_settings(cfg: DictConfig) -> AttackSettings:
    """Return the settings of an attack."""
    return AttackSettings(
        **_subject(cfg),
        dataset=dataset_settings(cfg, limit=cfg.images),
        attack=made(cfg.attack, _partial_=True),
        trainer=trainer_settings(cfg),
        batch_size=cfg.batch_size,
        store=cfg.store,
        examples=max(cfg.examples, _LOGGED_IMAGES) if "wandb" in cfg.logger else cfg.examples,
    )


def certificate_audit_settings(cfg: DictConfig) -> CertificateAuditSettings:
    """Return the settings of an audit of certificates."""
    return CertificateAuditSettings(
        **_subject(cfg),
        dataset=dataset_settings(cfg, limit=cfg.images),
        defender=defender(cfg),
        **_same(cfg, "step_px", "exemplars", "adaptive", "token_budget", "device"),
    )


def numerics_settings(cfg: DictConfig) -> NumericsSettings:
    """Return the settings of an audit of rounding."""
    return NumericsSettings(
        **_subject(cfg),
        dataset=dataset_settings(cfg, limit=cfg.images),
        defender=defender(cfg),
        mutants=cfg.mutants,
    )


def threshold_settings(cfg: DictConfig) -> ThresholdSettings:
    """Return the settings of a comparison of thresholds."""
    return ThresholdSettings(
        **_subject(cfg),
        dataset=dataset_settings(cfg, limit=cfg.images),
        defender=defender(cfg),
        **_same(cfg, "thresholds", "batch_size", "token_budget", "device"),
    )


def benchmark_settings(cfg: DictConfig, images: int) -> SubjectSettings:
    """Return the model of a benchmark, with random weights if there is no checkpoint, and its images."""
    subject = {**_subject(cfg), "model": model_settings(cfg).untrained()}
    return SubjectSettings(**subject, dataset=dataset_settings(cfg, limit=images))


def plan_settings(cfg: DictConfig) -> PlanSettings:
    """Return the settings of a plan."""
    check_mapping("budget", plain(cfg.budget))
    model = model_settings(cfg)
    choices = {"window": cfg.windows, "split": cfg.splits, "masks_per_axis": cfg.masks_per_axis}
    variants = {
        name: plain(values) for name, values in choices.items() if values is not None and name in model.arguments
    }
    return PlanSettings(
        dataset=dataset_settings(cfg),
        model=model,
        checkpoint=_path(cfg, "checkpoint"),
        required=required_arguments(cfg),
        variants=variants,
        # A black box has masks per axis instead.
        strides=() if "masks_per_axis" in model.arguments else plain(cfg.strides),
        refine=_refine(cfg) or (),
        seconds=cfg.budget.seconds,
        gflops=cfg.budget.gflops,
        **_same(cfg, "patch", "patches", "token_budget", "device", "seed"),
    )


def prediction_settings(cfg: DictConfig, images: Sequence[Path] = ()) -> PredictionSettings:
    """Return the settings of a prediction, and of the service."""
    return PredictionSettings(
        images=images,
        checkpoint=_path(cfg, "checkpoint"),
        model=None if cfg.get("model") is None else model_settings(cfg),
        defender=defender(cfg),
        output=OutputLevel(cfg.output),
        track=Tracker(),
        **_same(cfg, "patch", "patches", "require", "class_names", "exif", "resize", "stride", "batch_size"),
        **_same(cfg, "token_budget", "device"),
    )


def push_settings(cfg: DictConfig) -> PushSettings:
    """Return the settings of a publication."""
    guard = PredictionSettings(
        checkpoint=_path(cfg, "checkpoint"),
        defender=defender(cfg),
        device="cpu",
        **_same(cfg, "patch", "patches", "require", "class_names", "exif", "resize", "stride"),
    )
    results = [] if cfg.results is None else plain(cfg.results)
    paths = results if isinstance(results, list) else [results]
    return PushSettings(
        guard,
        folder=_path(cfg, "folder"),
        results=[path for value in paths if (path := _as_path("results", value)) is not None],
        **_same(cfg, "repo", "training", "private"),
    )


def _given_path(cfg: DictConfig, name: str) -> Path:
    """Return a setting that is a path."""
    if (path := _path(cfg, name)) is None:
        raise ConfigurationError(f"{name} must be a path, got null")
    return path


def _path(cfg: DictConfig, name: str) -> Path | None:
    """Return a setting that is a path or null."""
    return _as_path(name, plain(cfg[name]))


def _as_path(name: str, value: object) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} must be a path, got {value!r}")
    return Path(value)


def _same(cfg: DictConfig, *names: str) -> dict[str, Any]:
    """Return settings that have the same name in the configuration."""
    return {name: plain(cfg[name]) for name in names}


def _subject(cfg: DictConfig) -> dict[str, Any]:
    """Return the fields of :class:`mrcert_pl.tasks.subject.SubjectSettings` but the images."""
    return {
        "checkpoint": _path(cfg, "checkpoint"),
        "model": model_settings(cfg),
        "required": required_arguments(cfg),
        "made_by": command_line(cfg, "train"),
        "run": run_settings(cfg),
        **_same(cfg, "patch", "patches", "stride"),
    }


def required_arguments(cfg: DictConfig) -> dict[str, Any]:
    """Return the arguments of the model that the command line names, by their dotted names, with their values."""
    names = {override.split("=")[0].lstrip("+") for override in HydraConfig.get().overrides.task}
    arguments = [name for name in names if name.startswith("model.")]
    required = {name.removeprefix("model."): plain(OmegaConf.select(cfg, name)) for name in arguments}
    return {**required, "name": cfg.model.name} if "model" in names else required


def defender(cfg: DictConfig) -> Defender[Any]:
    """Return the defender of the configuration, on refined unions if it has ``refine``.

    Raises:
        ConfigurationError: for settings of ``refine`` without it, unless a multirun varies it.
    """
    inner: Defender[Any] = made(cfg.defender)
    if (strides := _refine(cfg)) is not None:
        return Refined(inner, strides, cfg.get("refine_threshold", 0.5), cfg.refine_limit)
    named = {override.split("=")[0] for override in HydraConfig.get().overrides.task}
    varied = "refine" in named and HydraConfig.get().mode == RunMode.MULTIRUN
    if not varied and (alone := sorted(named & {"refine_limit", "refine_threshold"})):
        raise ConfigurationError(
            f"{' and '.join(alone)} must be left out without refine=, the strides of larger masks, such as refine=4"
        )
    return inner


def _refine(cfg: DictConfig) -> list[int] | None:
    """Return the strides of the larger masks; ``None`` without ``refine``."""
    strides = plain(cfg.get("refine"))
    return strides if strides is None or isinstance(strides, list) else [strides]


def callbacks(cfg: DictConfig) -> dict[str, Callback]:
    """Return the callbacks of a training, by name; ``null`` takes one away."""
    return {name: made(node) for name, node in cfg.callbacks.items() if node is not None}
