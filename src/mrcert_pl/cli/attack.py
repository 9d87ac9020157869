"""``mrcert attack``: a patch attack on the base model, and the attacked set."""

import shlex
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed

if TYPE_CHECKING:
    from mrcert_pl.results.schema import AttackResult


@command("attack")
def main(cfg: DictConfig) -> "AttackResult | None":
    """Attack test images; write the attacked set, ``results.json`` and a contact sheet."""
    from mrcert_pl.cli.lineage import attack_artifacts
    from mrcert_pl.cli.record import begun
    from mrcert_pl.cli.task_settings import attack_settings
    from mrcert_pl.results.runs import CONTACT_SHEET, RESULTS
    from mrcert_pl.tasks.attack import attack
    from mrcert_pl.tasks.runtime import is_first_process
    from mrcert_pl.views.figures import draw_attack
    from mrcert_pl.views.terminal import show_attack
    from mrcert_pl.views.wandb import MOST_EXAMPLES, log_attack

    cfg = completed(cfg)
    settings = attack_settings(cfg)
    run = begun(cfg, settings.run)
    done = attack(settings)
    if not is_first_process():
        return None
    show_attack(done.result)
    place = shlex.quote(f"dataset.path={done.attacked}")
    made = done.result.attack_settings
    defender = f"defender={made.get('detector', 'mrcert')}"
    if "detector" in made and made["threshold"] is not None:
        defender += f" defender.threshold={made['threshold']}"
    print(
        f"{done.folder / RESULTS}\nEvaluate a defender on them with:  mrcert eval dataset=attacked {place} {defender}"
    )
    if cfg.examples:
        print(draw_attack(done.folder / CONTACT_SHEET, done.examples[: cfg.examples], done.classes))
    if run:
        artifacts = attack_artifacts(settings, done)
        log_attack(run, done.result, done.examples[:MOST_EXAMPLES], done.classes, artifacts)
    return done.result


if __name__ == "__main__":
    main()
