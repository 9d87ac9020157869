"""``python -m benchmarks.labelling``: what the ways to label mutants, to train and to attack cost on this machine."""

import math
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from benchmarks import Row
    from mrcert_pl.results import BenchmarkRow


@command("labelling", Path(__file__).parent)
def main(cfg: DictConfig) -> None:
    """Print the tables; leave ``bench.json`` and ``bench.png``."""
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from benchmarks import Machine, compare
    from mrcert_pl.cli.build import build_trainer, device_of, start
    from mrcert_pl.results import BenchmarkResult, BenchmarkRow, Environment
    from mrcert_pl.results.runs import BENCHMARK
    from mrcert_pl.views.figures import draw_bars
    from mrcert_pl.views.terminal import benchmark_table

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
    rows: list[BenchmarkRow] = []
    facts: dict[str, Any] = {}
    for part, ways, about in _parts(cfg, device):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(part, total=len(ways) * cfg.rounds)
            measured = compare(ways, machine, cfg.rounds, partial(progress.advance, task))
        rows += [_row(part, row) for row in measured]
        facts |= about
        shown = [row for row in rows if row.part == part]
        console.print(benchmark_table(f"{part}: {_subject(cfg, device, str(trainer.precision))}", shown))
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    result = BenchmarkResult(
        rows=tuple(rows),
        **facts,
        peak_gflops=machine.peak_flops / 1e9,
        threads=torch.get_num_threads(),
        environment=Environment.here(device_of(trainer), str(trainer.precision)),
        command=" ".join(sys.argv),
        config=config,
    )
    print(result.write(run_dir / BENCHMARK))
    labelling = [row for row in rows if row.part == _LABELLING]
    title = f"Times faster than one forward pass per tuple of masks\n{_subject(cfg, device, str(trainer.precision))}"
    print(draw_bars(run_dir / "bench.png", {row.method: row.faster for row in labelling}, title))


_LABELLING = "labels of mutants"


def _row(part: str, row: "Row") -> "BenchmarkRow":
    from mrcert_pl.results import BenchmarkRow

    return BenchmarkRow(
        part=part,
        method=row.way,
        mutants=row.mutants,
        gflops=row.gflops,
        seconds=row.seconds,
        faster=row.faster,
        of_peak=row.of_peak,
        peak_mib=None if math.isnan(row.peak_mib) else row.peak_mib,
        sample=row.sample,
    )


def _parts(cfg: DictConfig, device: Any) -> Any:
    """Name, ways and facts of every part of the benchmark."""
    import torch

    from benchmarks import gradient_ways, labelling_ways
    from mrcert_pl.cli.build import build_data, build_model, command_line, patch_of
    from mrcert_pl.defenders import MRCert, build
    from mrcert_pl.defenders.masking import MaskingDefender
    from mrcert_pl.models.checkpoints import read_checkpoint, restore
    from mrcert_pl.results import MutantFacts
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
    config: Any = OmegaConf.to_container(cfg)
    mutants = MutantFacts.of(lattice.summary())
    facts = {"mutants": mutants, "model": cfg.model.name, "patch": config["patch"]}
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


if __name__ == "__main__":
    main()
