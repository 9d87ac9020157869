"""Where a training or an evaluation that was stopped goes on."""

from pathlib import Path

from omegaconf import DictConfig

from mrcert_pl.errors import CheckpointError, ResultsError


def checkpoint_to_resume(cfg: DictConfig) -> Path | None:
    """The checkpoint that ``ckpt_path`` means: none, a file, or with ``last`` the newest of this configuration's runs.

    Raises:
        CheckpointError: if there is no such file.
    """
    if cfg.ckpt_path is None:
        return None
    if cfg.ckpt_path != "last":
        path = Path(cfg.ckpt_path)
        if not path.is_file():
            raise CheckpointError(f"there is no checkpoint {path} to resume from; ckpt_path=last takes the newest one")
        return path
    runs = Path(cfg.paths.output_dir, "train", cfg.dataset.name, f"{cfg.model.name}_p{cfg.patch}")
    found = list(runs.glob("*/checkpoints/last.ckpt"))
    if not found:
        raise CheckpointError(
            f"there is no training to resume in {runs}: no run has finished an epoch there; start one without ckpt_path"
        )
    return max(found, key=lambda path: path.stat().st_mtime)


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
