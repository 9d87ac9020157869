"""``mrcert thresholds``: certified accuracy for several thresholds, on validation images."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed

if TYPE_CHECKING:
    from mrcert_pl.results.schema import ThresholdResult


@command("thresholds")
def main(cfg: DictConfig) -> "ThresholdResult":
    """Evaluate validation images with every threshold; write a table, ``thresholds.json`` and the curve."""
    from mrcert_pl.cli.lineage import threshold_artifacts
    from mrcert_pl.cli.record import begun
    from mrcert_pl.cli.task_settings import threshold_settings
    from mrcert_pl.results.runs import THRESHOLDS
    from mrcert_pl.tasks.thresholds import compare_thresholds
    from mrcert_pl.views.terminal import show_thresholds
    from mrcert_pl.views.threshold_curve import draw_thresholds
    from mrcert_pl.views.wandb import log_thresholds

    cfg = completed(cfg)
    settings = threshold_settings(cfg)
    run = begun(cfg, settings.run)
    result = compare_thresholds(settings)
    show_thresholds(result)
    print(f"{settings.run.folder / THRESHOLDS}\n{draw_thresholds(settings.run.folder / 'thresholds.svg', result)}")
    if run:
        log_thresholds(run, result, threshold_artifacts(settings, result))
    return result


if __name__ == "__main__":
    main()
