"""``python train.py``, ``mrcert train``: masked fine-tuning."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed
from mrcert_pl.cli.following import command_line
from mrcert_pl.cli.slurm import requeued

if TYPE_CHECKING:
    from mrcert_pl.results.schema import TrainingResult


@command("train")
def main(cfg: DictConfig) -> "TrainingResult | None":
    """Train, and publish the best checkpoint for ``eval.py``."""
    from mrcert_pl.cli.lineage import training_artifacts
    from mrcert_pl.cli.record import begun
    from mrcert_pl.cli.task_settings import defender, training_settings
    from mrcert_pl.tasks.resume import checkpoint_to_resume, own_checkpoint, run_of
    from mrcert_pl.tasks.runtime import is_first_process
    from mrcert_pl.tasks.train import train
    from mrcert_pl.views.wandb import log_training

    cfg = completed(cfg)
    draft = training_settings(cfg, loggers=False)
    resume = draft.resume or (own_checkpoint(draft.run.folder) if requeued() else None)
    resumed = checkpoint_to_resume(resume, draft.identity(), draft.run.folder)
    if resumed and (folder := run_of(resumed)):
        cfg = completed(cfg, folder)
    settings = training_settings(cfg, resume=resumed)
    run = begun(cfg, settings.run)
    result = train(settings)
    if run:
        log_training(run, result, training_artifacts(settings, result))
    if result.published is None or result.best_score is None or not is_first_process():
        return result
    replaced = " (replaces an earlier one, which is kept in its own run in outputs)" if result.replaced else ""
    if settings.stage == "srf_vanilla":
        following = f"Train the second stage with:  {command_line(cfg, 'train')} stage=split"
    else:
        following = f"Certify it with:  {command_line(cfg, 'eval')} defender={defender(cfg).name}"
    print(
        f"\nBest checkpoint ({result.monitor} {result.best_score:.3f}): {Path(result.published)}{replaced}\n{following}"
    )
    return result


if __name__ == "__main__":
    main()
