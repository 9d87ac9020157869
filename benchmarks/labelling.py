"""``python -m benchmarks.labelling``: cost of labelling mutants, training and attacking on this machine."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command, completed
from mrcert_pl.cli.configuration import CONF_DIR, register_resolver
from mrcert_pl.errors import ConfigurationError

# The benchmark's own configuration lies beside it and refers to those of the commands.
register_resolver("conf_dir", lambda: str(CONF_DIR))


@command("labelling", Path(__file__).parent)
def main(cfg: DictConfig) -> None:
    """Print the tables; write ``bench.json`` and ``bench.png``."""
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from benchmarks import Machine, compare
    from mrcert_pl.cli.task_settings import run_settings, trainer_settings
    from mrcert_pl.results import BenchmarkResult, BenchmarkRow, Environment
    from mrcert_pl.results.runs import BENCHMARK
    from mrcert_pl.tasks.runtime import device_of
    from mrcert_pl.views.figures import draw_bars
    from mrcert_pl.views.terminal import benchmark_table

    if cfg.images < 1 or cfg.rounds < 1 or cfg.sample < 1 or cfg.train_batch < 0:
        raise ConfigurationError(
            "a benchmark needs at least one image, one round and a sample of one forward pass; train_batch=0 leaves "
            "training and attacks out"
        )
    cfg = completed(cfg)
    run = run_settings(cfg)
    trainer = trainer_settings(cfg).make(run.folder, run.loggers, [])
    device = trainer.strategy.root_device
    machine = Machine(device, str(trainer.precision))
    console = Console()
    rows: list[BenchmarkRow] = []
    facts: dict[str, Any] = {}
    for part, methods, about in _parts(cfg, device):
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(part, total=len(methods) * cfg.rounds)
            measured = compare(part, methods, machine, cfg.rounds, partial(progress.advance, task))
        rows += measured
        facts |= about
        console.print(benchmark_table(f"{part}: {_subject(cfg, device, str(trainer.precision))}", measured))
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
    print(result.write(run.folder / BENCHMARK))
    labelling = [row for row in rows if row.part == _LABELLING]
    title = "Times faster than published code (image encoded once, LRF per tuple of masks)"
    title = f"{title}\n{_subject(cfg, device, str(trainer.precision))}"
    print(draw_bars(run.folder / "bench.png", {row.method: row.faster for row in labelling}, title))


_LABELLING = "labels of mutants"


def _parts(cfg: DictConfig, device: Any) -> Any:
    """Yield name, methods and facts of every part of the benchmark."""
    import torch

    from benchmarks import gradient_methods, labelling_methods
    from mrcert_pl.cli.task_settings import benchmark_settings
    from mrcert_pl.defenders import MRCert, build
    from mrcert_pl.defenders.masking import MaskingDefender
    from mrcert_pl.results import MutantFacts
    from mrcert_pl.tasks.subject import load_subject
    from mrcert_pl.training import MaskSampler

    lazy = [build(name, cfg.patches) for name in cfg.defenders]
    if votes := [defender.name for defender in lazy if not isinstance(defender, MaskingDefender)]:
        raise ConfigurationError(
            f"{', '.join(votes)} cannot be timed: a vote hides no masks; remove it from defenders="
        )
    count = max(cfg.images, cfg.train_batch)
    settings = benchmark_settings(cfg, count)
    subject = load_subject(settings)
    model: Any = subject.model
    if not hasattr(model, "covering_masks"):
        raise ConfigurationError(
            f"model={cfg.model.name} votes instead of hiding masks; take model=vit_srf or masked_vit"
        )
    if cfg.checkpoint is None:
        lazy = []
    split = settings.dataset.load(model.image_px, cfg.seed).split("test")
    model = model.to(device)
    images = torch.stack([split[i % len(split)].image for i in range(count)]).to(device)
    labels = torch.tensor([split[i % len(split)].label for i in range(count)], device=device)
    lattice = MRCert(cfg.patches).mutants(model, subject.patch, subject.stride)
    mutants = MutantFacts.of(lattice.summary())
    facts = {"mutants": mutants, "model": subject.name, "patch": subject.patch_setting}
    yield (
        _LABELLING,
        labelling_methods(model, lattice, images[: cfg.images], lazy, cfg.sample, cfg.token_budget, cfg.backend),
        facts | {"images": cfg.images},
    )
    if n := cfg.train_batch:
        masks = MaskSampler(lattice.masks, model.windows, cfg.mask_orders)
        yield "gradients", gradient_methods(model, masks(n, device), images[:n], labels[:n]), {"train_batch": n}


def _subject(cfg: DictConfig, device: Any, precision: str) -> str:
    weights = "random weights" if cfg.checkpoint is None else "trained weights"
    return f"{cfg.model.name} ({cfg.model.backbone}), patch {cfg.patch}, {weights}, {precision}, {device.type}"


if __name__ == "__main__":
    main()
