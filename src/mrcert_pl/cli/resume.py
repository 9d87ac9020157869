"""Where a training or an evaluation that was stopped goes on."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.errors import CheckpointError, ResultsError, differences

# What a training must share with the one that it goes on with; where its weights came from doesn't matter any more.
_SAME = (
    "dataset.name",
    "dataset.limit",
    "dataset.resize",
    "model",
    "patch",
    "patches",
    "stride",
    "seed",
    "stage",
    "recipe",
)
_MAY_DIFFER = ("model.pretrained", "model.weights", "model.head_rows", "recipe.epochs")


def checkpoint_to_resume(cfg: DictConfig) -> Path | None:
    """The checkpoint that ``ckpt_path`` means: none, a file, or with ``last`` the newest of this configuration's runs.

    Raises:
        CheckpointError: if there is no such file, or it belongs to a run of another configuration.
    """
    if cfg.ckpt_path is None:
        return None
    if cfg.ckpt_path != "last":
        path = Path(cfg.ckpt_path)
        if not path.is_file():
            raise CheckpointError(f"there is no checkpoint {path} to resume from; ckpt_path=last takes the newest one")
        found = [path]
    else:
        runs = Path(cfg.paths.output_dir, "train", cfg.dataset.name, f"{cfg.model.name}_p{cfg.patch}")
        found = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: -path.stat().st_mtime)
        if not found:
            raise CheckpointError(
                f"there is no training to resume in {runs}: no run has finished an epoch there; "
                "start one without ckpt_path"
            )
    fitting = [path for path in found if not _differences(cfg, path)]
    if not fitting:
        raise CheckpointError(
            f"{found[0]} belongs to a training with other settings:\n  "
            + "\n  ".join(_differences(cfg, found[0]))
            + "\ngive the settings that it was started with, or start a new training without ckpt_path"
        )
    return fitting[0]


def _differences(cfg: DictConfig, checkpoint: Path) -> list[str]:
    """Settings of the run that a checkpoint belongs to which are not those of this one, in words."""
    run = run_folder(checkpoint)
    if run is None:
        return []
    return differences(_settings(OmegaConf.load(run / "config.yaml")), _settings(cfg), "there")


def _settings(cfg: Any) -> dict[str, Any]:
    """The settings that make a training what it is, by their full names."""
    settings: dict[str, Any] = {}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                collect(f"{name}.{key}", part)
        elif name not in _MAY_DIFFER:
            settings[name] = value

    for name in _SAME:
        node = OmegaConf.select(cfg, name)
        collect(name, OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node)
    return settings


def store_folder(cfg: DictConfig, run_dir: Path, name: str = "mutants") -> Path:
    """The folder that ``store`` means: the run's own, another one, or with ``last`` the newest of such a run.

    Args:
        cfg: the configuration.
        run_dir: the run's folder; earlier ones lie beside it.
        name: of the folder in it.

    Raises:
        ResultsError: if there is no earlier run.
    """
    if cfg.store is None:
        return run_dir / name
    if cfg.store != "last":
        return Path(cfg.store)
    runs = run_dir.parent
    found = [folder for folder in runs.glob(f"*/{name}") if any(folder.iterdir())]
    if not found:
        raise ResultsError(f"there is no earlier run to go on with in {runs}; start one without store=last")
    return max(found, key=lambda folder: folder.stat().st_mtime)


def run_folder(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint belongs to, or ``None`` for one that has been taken elsewhere."""
    run = checkpoint.parent.parent
    return run if checkpoint.parent.name == "checkpoints" and (run / "config.yaml").is_file() else None
