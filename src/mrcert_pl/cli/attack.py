"""``mrcert attack``: a patch attack on the base model, and the set of attacked images that it leaves."""

import shlex

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed


@command("attack")
def main(cfg: DictConfig) -> None:
    """Attack test images; leave the attacked set, ``results.json`` and a contact sheet."""
    from lightning.pytorch.utilities import rank_zero_only

    from mrcert_pl.cli.instantiate import attack_settings
    from mrcert_pl.cli.record import write_config
    from mrcert_pl.tasks.attack import attack
    from mrcert_pl.tasks.evaluate import RESULT
    from mrcert_pl.views.figures import draw_attack
    from mrcert_pl.views.terminal import show_attack
    from mrcert_pl.views.wandb import log_attack, run_of_loggers

    cfg = completed(cfg)
    settings = attack_settings(cfg)
    write_config(cfg)
    attacked = attack(settings)
    if rank_zero_only.rank:
        return
    show_attack(attacked.result)
    place = shlex.quote(f"dataset.path={attacked.attacked}")
    print(
        f"{attacked.folder / RESULT}\n"
        f"Evaluate a defender on them with:  python eval.py dataset=attacked {place} defender=mrcert"
    )
    for file in draw_attack(attacked, cfg.pictures):
        print(file)
    log_attack(run_of_loggers(settings.run.loggers), attacked)


if __name__ == "__main__":
    main()
