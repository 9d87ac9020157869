"""``mrcert audit numerics``: spread of logits between runs, and the margin that covers it."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed

if TYPE_CHECKING:
    from mrcert_pl.results.schema import NumericsResult


@command("audit_numerics")
def main(cfg: DictConfig) -> "NumericsResult":
    """Compare the logits of the same mutants by several methods; write a table and ``numerics.json``."""
    from mrcert_pl.cli.lineage import audit_artifacts
    from mrcert_pl.cli.record import begun
    from mrcert_pl.cli.task_settings import numerics_settings
    from mrcert_pl.tasks.audit import audit_numerics
    from mrcert_pl.views.terminal import show_numerics
    from mrcert_pl.views.wandb import log_audit

    cfg = completed(cfg)
    settings = numerics_settings(cfg)
    run = begun(cfg, settings.run)
    result = audit_numerics(settings)
    show_numerics(result)
    print(settings.run.folder / "numerics.json")
    if run:
        log_audit(run, result, audit_artifacts(settings, "audit-numerics", result))
    return result


if __name__ == "__main__":
    main()
