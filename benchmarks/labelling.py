"""``python -m benchmarks.labelling``: what the ways to label mutants, to train and to attack cost on this machine."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks import Row


@command("labelling", Path(__file__).parent)
def main(cfg: DictConfig) -> None:
    """Print the tables; leave ``bench.json`` and ``bench.png``."""
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from benchmarks import Machine, compare
    from mrcert_pl.cli.build import build_trainer, device_of, start
    from mrcert_pl.files import write_json
    from mrcert_pl.reporting import environment
    from mrcert_pl.reporting.bars import bars

    if cfg.images < 1 or cfg.rounds < 1 or cfg.sample < 1 or cfg.train_batch < 0:
        raise ConfigurationError(
            "a benchmark needs at least one image, one round and a sample of one forward pass; train_batch=0 leaves "
            "training and attacks out"
        )
    run_dir = start(cfg)
    trainer = build_trainer(cfg, [])
    device = trainer.strategy.root_device
    machine = Machine(device, str(trainer.precision))
    console = Console()
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for part, ways, about in _parts(cfg, device):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(part, total=len(ways) * cfg.rounds)
            measured = compare(ways, machine, cfg.rounds, partial(progress.advance, task))
        rows += [{"part": part, **asdict(row)} for row in measured]
        facts |= about
        console.print(_table(f"{part}: {_subject(cfg, device, str(trainer.precision))}", measured))
    content = {
        "format": 1,
        "rows": rows,
        **facts,
        "peak_gflops": machine.peak_flops / 1e9,
        "threads": torch.get_num_threads(),
        "environment": environment(device_of(trainer), str(trainer.precision)),
        "command": " ".join(sys.argv),
        "config": OmegaConf.to_container(cfg, resolve=True),
    }
    print(write_json(run_dir / "bench.json", content))
    labelling = [row for row in rows if row["part"] == _LABELLING]
    title = f"Times faster than one forward pass per tuple of masks\n{_subject(cfg, device, str(trainer.precision))}"
    print(bars(run_dir / "bench.png", {row["way"]: row["faster"] for row in labelling}, title))


_LABELLING = "labels of mutants"


def _parts(cfg: DictConfig, device: Any) -> Any:
    """Name, ways and facts of every part of the benchmark."""
    import torch

    from benchmarks import gradient_ways, labelling_ways
    from mrcert_pl.cli.build import build_data, build_model, command_line, patch_of
    from mrcert_pl.defenders import MRCert, build
    from mrcert_pl.defenders.masking import MaskingDefender
    from mrcert_pl.models.checkpoints import read_checkpoint, restore
    from mrcert_pl.training import MaskSampler

    lazy = [build(name, cfg.patches) for name in cfg.defenders]
    if votes := [defender.name for defender in lazy if not isinstance(defender, MaskingDefender)]:
        raise ConfigurationError(f"{', '.join(votes)} can't be timed, a vote hides no masks; take it out of defenders=")
    model = build_model(cfg, start=False).eval()
    if not hasattr(model, "covering_masks"):
        raise ConfigurationError(
            f"model={cfg.model.name} votes instead of hiding masks; take model=vit_srf or masked_vit"
        )
    if cfg.checkpoint is None:
        lazy = []
    else:
        restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    cfg.dataset.limit = max(cfg.images, cfg.train_batch)
    split = build_data(cfg, model.image_px).split("test")
    model = model.to(device)
    images = torch.stack([split[i % len(split)].image for i in range(cfg.dataset.limit)]).to(device)
    labels = torch.tensor([split[i % len(split)].label for i in range(cfg.dataset.limit)], device=device)

    lattice = MRCert(cfg.patches).mutants(model, patch_of(cfg), cfg.stride)
    facts = {"mutants": lattice.summary(), "model": cfg.model.name, "patch": OmegaConf.to_container(cfg)["patch"]}  # type: ignore[call-overload, index]
    yield (
        _LABELLING,
        labelling_ways(model, lattice, images[: cfg.images], lazy, cfg.sample, cfg.token_budget),
        facts | {"images": cfg.images},
    )
    if n := cfg.train_batch:
        masks = MaskSampler(lattice.masks, model.windows, cfg.mask_orders)
        yield "gradients", gradient_ways(model, masks(n, device), images[:n], labels[:n]), {"train_batch": n}


def _subject(cfg: DictConfig, device: Any, precision: str) -> str:
    weights = "random weights" if cfg.checkpoint is None else "trained weights"
    return f"{cfg.model.name} ({cfg.model.backbone}), patch {cfg.patch}, {weights}, {precision}, {device.type}"


def _table(title: str, rows: "list[Row]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    sampled = ", ".join(f"{row.way}: {row.sample}" for row in rows if row.sample is not None)
    caption = f"scaled from so many forward passes: {sampled}" if sampled else None
    table = Table(
        title=title, caption=caption, box=SIMPLE_HEAD, padding=(0, 0, 0, 1), title_justify="left", title_style="bold"
    )
    table.caption_justify = "left"
    table.pad_edge = False
    table.add_column("per image", no_wrap=True)
    for heading in ("mutants", "GFLOPs", "seconds", "faster", "peak %", "MiB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        gflops = f"{row.gflops:,.0f}" if row.gflops >= 100 else f"{row.gflops:.1f}"
        numbers = (f"{row.mutants:,.0f}", gflops, f"{row.seconds:.3g}", f"{row.faster:.1f}")
        table.add_row(row.way, *numbers, f"{100 * row.of_peak:.0f}", f"{row.peak_mib:,.0f}")
    return table


if __name__ == "__main__":
    main()
