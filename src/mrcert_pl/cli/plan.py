"""``mrcert plan``: cost and visible fraction of masks, before any training."""

import shlex

from omegaconf import DictConfig

from mrcert_pl.cli.app import command
from mrcert_pl.cli.following import command_line


@command("plan")
def main(cfg: DictConfig) -> None:
    """Print a table of configurations, and the one with the largest visible fraction within the budget."""
    from mrcert_pl.cli.task_settings import plan_settings
    from mrcert_pl.tasks.plan import plan
    from mrcert_pl.views.plan import show_plan

    settings = plan_settings(cfg)
    found = plan(settings)
    if cfg.checkpoint is None:
        about = f"{cfg.dataset.name}, {cfg.model.name} ({settings.model.arguments.get('backbone', '')})"
    else:
        about = f"{cfg.checkpoint}, {cfg.model.name}"
    title = f"{about}, patch {cfg.patch}, {cfg.patches} in all; per image"
    show_plan(found, title, settings.patches, settings.seconds, settings.gflops)
    if found.best is not None:
        chosen = [f"{name}={str(value).replace(' ', '')}" for name, value in found.best.settings.items()]
        print(shlex.join([*shlex.split(command_line(cfg, "train")), *chosen]))


if __name__ == "__main__":
    main()
