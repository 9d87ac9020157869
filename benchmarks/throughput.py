"""Images per second of the mutant engine and a defender, within a limit of time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import Machine
from benchmarks.methods import Everything, compiled
from mrcert_pl.defenders import Defender
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.mutants import MutantEvaluator


@dataclass(frozen=True)
class Load:
    """What is measured, and for how long.

    Attributes:
        images: Number of images.
        batch: Images per batch.
        until: Time (``time.monotonic``) after which no batch is begun.
        backend: Backend of ``torch.compile``; ``None``: no compilation.
    """

    images: int
    batch: int
    until: float
    backend: str | None = None


@torch.inference_mode()
def throughput(
    model: Any,
    lattice: UnionLattice,
    defender: Defender[Any],
    machine: Machine,
    load: Load,
    keep: Callable[[Mapping[str, Any]], object],
) -> None:
    """Label all mutants of random images, decide, and report the figures after every batch.

    With the full table the figures hold for any weights: lazy evaluation is never slower, and saves what the weights
    allow. The first batch warms up and compiles; it is not counted.

    Args:
        model: Base model in evaluation mode, on its device.
        lattice: Mutants of the defender.
        defender: Decides on each table; its time is part of the figures.
        machine: Device, precision and peak.
        load: Number of images and limit of time.
        keep: Called with the figures so far.
    """
    flops = float(TableFlops(model, lattice.hidden).per_image(torch.ones(1, len(lattice), dtype=torch.bool)).sum())
    evaluator = MutantEvaluator(model, lattice)
    figures = {"mutants": len(lattice), "tflop_per_image": flops / 1e12, "peak_tflops": machine.peak_flops / 1e12}
    with compiled(model, load.backend):
        warm_up, _ = machine.timed(lambda: _verdicts(evaluator, defender, machine, load.batch))
        keep({**figures, "warm_up_seconds": warm_up, "images": 0})
        machine.forget_peak_memory()
        images, labelling, deciding = 0, 0.0, 0.0
        while images < load.images and time.monotonic() < load.until:
            seconds, decided = machine.timed(lambda: _verdicts(evaluator, defender, machine, load.batch))
            images, labelling, deciding = images + load.batch, labelling + seconds - decided, deciding + decided
            whole = labelling + deciding
            keep(
                {
                    **figures,
                    "warm_up_seconds": warm_up,
                    "images": images,
                    "seconds": whole,
                    "images_per_second": images / whole,
                    "of_peak": images * flops / labelling / machine.peak_flops,
                    "deciding": deciding / whole,
                    "minutes_for_50000_images": 50_000 / images * whole / 60,
                    "token_budget": evaluator.token_budget,
                    "peak_mib": machine.peak_mib(),
                }
            )


def _verdicts(evaluator: MutantEvaluator, defender: Defender[Any], machine: Machine, batch: int) -> float:
    """Give verdicts on random images; return the seconds of the decisions."""
    model: Any = evaluator.model
    images: Tensor = torch.rand(batch, 3, *model.image_px, device=machine.device)
    with machine.arithmetic():
        table = evaluator.evaluate(images, Everything())
    seconds, _ = machine.timed(lambda: defender.decide(table))
    return seconds
