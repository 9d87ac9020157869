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
    from mrcert_pl.cli.recording import record_audit
    from mrcert_pl.files import write_json
    from mrcert_pl.models.checkpoints import read_checkpoint, restore, weights_digest
    from mrcert_pl.reporting import environment

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
    content = {
        "images": len(images),
        "mutants": spreads[0].mutants,
        "spreads": [vars(s) for s in spreads],
        "delta": deltas,
        "margin": margins,
        "weights_sha256": weights_digest(model),
        "seed": cfg.seed,
        "environment": environment(" and ".join(["cpu", *gpus]), ", ".join(deltas)),
        "config": OmegaConf.to_container(cfg, resolve=True),
    }
    file = write_json(run_dir / "numerics.json", content)
    _show(spreads, margins)
    print(file)
    numbers = {f"{name}_{precision}": content[name][precision] for name in ("delta", "margin") for precision in deltas}
    rows = [(s.way, s.delta, s.flips) for s in spreads]
    record_audit(loggers, cfg, data, numbers, ("computed otherwise", "largest difference", "other labels"), rows)


def _rounded_up(margin: float) -> float:
    """To two significant digits, so that what is printed is not smaller than what was measured."""
    if margin == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(margin)) - 1)
    return float(f"{math.ceil(margin / unit) * unit:.1e}")


def _show(spreads: list[Any], margins: dict[str, float]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    title = f"Logits of {spreads[0].mutants} mutants against each computed alone"
    table = Table("computed otherwise", title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("largest difference", justify="right")
    table.add_column("other labels", justify="right")
    for s in spreads:
        table.add_row(s.way, f"{s.delta:.1e}", str(s.flips))
    console = Console()
    console.print(table)
    for precision, margin in margins.items():
        console.print(
            f"{precision}: certificates that no such difference can break need "
            f"[bold]defender.margin={margin:.1e}[/bold], twice the largest one between any two runs",
            highlight=False,
        )


if __name__ == "__main__":
    main()
