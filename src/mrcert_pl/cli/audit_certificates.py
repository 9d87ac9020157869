"""``mrcert audit certificates``: attacks on certified images."""

import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mrcert_pl.cli.app import command, completed

if TYPE_CHECKING:
    from mrcert_pl.results.schema import CertificateAuditResult


@command("audit_certificates")
def main(cfg: DictConfig) -> "CertificateAuditResult":
    """Attack certified images on a grid of placements; write ``certificates.json``, and a file per broken one."""
    from mrcert_pl.cli.lineage import audit_artifacts
    from mrcert_pl.cli.record import begun
    from mrcert_pl.cli.task_settings import certificate_audit_settings
    from mrcert_pl.tasks.audit import audit_certificates, check_attacked
    from mrcert_pl.views.terminal import show_audit
    from mrcert_pl.views.wandb import log_audit

    cfg = completed(cfg)
    settings = certificate_audit_settings(cfg)
    run = begun(cfg, settings.run)
    result = audit_certificates(settings)
    show_audit(result)
    print(settings.run.folder / "certificates.json")
    if run:
        log_audit(run, result, audit_artifacts(settings, "audit-certificates", result))
    check_attacked(result)
    if result.breaks:
        print(
            f"error: {len(result.breaks)} patches break what was certified; each is written with its image and labels, "
            f"the first one to {result.breaks[0]}. Unless a margin near zero indicates rounding "
            "(mrcert audit numerics), a rule, a mask or a model violates its theorem",
            file=sys.stderr,
        )
        sys.exit(1)
    return result


if __name__ == "__main__":
    main()
