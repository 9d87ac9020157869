"""``mrcert audit``: checks of what certificates rest on."""

import math
import sys
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli import audit_certificates
from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError

_USAGE = """usage: mrcert audit AUDIT [settings]

  certificates  attack certified images, and see whether a label or a certificate breaks
  numerics      how far logits move between runs, and the margin that certificates need for it

mrcert audit AUDIT --help tells more."""


def main() -> None:
    """Hand over to the audit that the first argument names."""
    arguments = sys.argv[1:]
    audits = {"certificates": audit_certificates.main, "numerics": numerics}
    if arguments and arguments[0] in audits:
        sys.argv = [f"{sys.argv[0]} {arguments[0]}", *arguments[1:]]
        audits[arguments[0]]()
    elif not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
    else:
        print(f"error: mrcert has no audit {arguments[0]!r}\n\n{_USAGE}", file=sys.stderr)
        sys.exit(2)


@command("audit_numerics")
def numerics(cfg: DictConfig) -> None:
    """Compare the logits of the same mutants, computed in several ways; leave a table and ``numerics.json``."""
    import torch
    from hydra.utils import instantiate
    from rich.progress import track

    from mrcert_pl.attacks.logit_spread import LogitSpread
    from mrcert_pl.cli.attacked import adopt
    from mrcert_pl.cli.build import build_data, build_loggers, build_model, command_line, patch_of, start
    from mrcert_pl.cli.recording import audit_artifacts
    from mrcert_pl.models.checkpoints import read_checkpoint, restore, weights_digest
    from mrcert_pl.results import Environment, LogitDifference, NumericsResult
    from mrcert_pl.results.runs import NUMERICS
    from mrcert_pl.views.terminal import show_numerics
    from mrcert_pl.views.wandb import WandbRun, log_audit

    for name in ("images", "mutants"):
        if cfg[name] < 1:
            raise ConfigurationError(f"compare at least one, not {name}={cfg[name]}")
    adopt(cfg)
    run_dir = start(cfg)
    model = build_model(cfg, start=False)
    lattice = instantiate(cfg.defender, _convert_="all").mutants(model, patch_of(cfg), cfg.stride)
    cfg.dataset.limit = cfg.images
    data = build_data(cfg, model.image_px, batch_size=cfg.images)
    restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    split = data.split("test")
    images = torch.stack([split[i].image for i in range(len(split))])
    loggers = build_loggers(cfg)
    spread = LogitSpread(model.eval(), lattice, images, cfg.mutants, cfg.seed)
    spreads = [compare() for compare in track(spread.ways().values(), "Comparing", transient=True)]

    gpus = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    deltas = {precision: spread.delta(precision) for precision in dict.fromkeys(s.precision for s in spreads)}
    margins = {precision: _rounded_up(2 * delta) for precision, delta in deltas.items()}
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    result = NumericsResult(
        dataset=data.description.name,
        model=cfg.model.name,
        patch=config["patch"],
        images=len(images),
        mutants=spreads[0].mutants,
        spreads=tuple(LogitDifference(s.way, s.precision, s.delta, s.flips, s.mutants) for s in spreads),
        delta=deltas,
        margin=margins,
        weights_sha256=weights_digest(model),
        seed=cfg.seed,
        environment=Environment.here(" and ".join(["cpu", *gpus]), ", ".join(deltas)),
        checkpoint=str(cfg.checkpoint),
        command=" ".join(sys.argv),
        config=config,
    )
    file = result.write(run_dir / NUMERICS)
    show_numerics(result)
    print(file)
    if run := WandbRun.of(loggers):
        log_audit(run, result, audit_artifacts(cfg, data, result))


def _rounded_up(margin: float) -> float:
    """To two significant digits, so that what is printed is not smaller than what was measured."""
    if margin == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(margin)) - 1)
    return float(f"{math.ceil(margin / unit) * unit:.1e}")


if __name__ == "__main__":
    main()
