"""Time three ways to label all mutants of an image against each other, in one process.

Direct: one dense forward for every tuple of masks with repetition (sampled, then scaled). Distinct: one dense forward
for every distinct union. Merged: the mutant engine, which carries all masked tokens as one. Ratios are medians over
rounds in which the ways take turns; absolute times on a CPU are those of the machine at hand and mean little.

    make bench        or        python benchmarks/mutants.py --backbone vit_tiny_patch16_224 --images 1
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import combinations_with_replacement

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from mrcert_pl.defenders import MRCert
from mrcert_pl.geometry import PatchSpec, covering_lattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import MutantEvaluator

_DENSE_BATCH = 16


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    parser.add_argument("--split", type=int, default=6)
    parser.add_argument("--patch", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=64, help="dense forwards that are timed, then scaled")
    options = parser.parse_args()

    torch.manual_seed(0)
    model = ViTSRF(options.backbone, num_classes=10, split=options.split).eval()
    images = torch.rand(options.images, 3, *model.image_px)
    table = Table(title=f"{options.backbone}, split {options.split}, float32, {torch.get_num_threads()} threads")
    for column in ("patch", "way", "mutants per image", "time against direct", "times faster"):
        table.add_column(column, justify="right")
    for patch in options.patch:
        _measure(model, images, patch, options.rounds, options.sample, table)
    Console().print(table)


def _measure(model: ViTSRF, images: Tensor, patch: int, rounds: int, sample: int, table: Table) -> None:
    lattice = covering_lattice(model.grid, model.window_px, PatchSpec(patch), order=4)
    tuples = sum(1 for _ in combinations_with_replacement(lattice.masks, 4))
    # Every dense forward costs the same, whatever is hidden.
    hidden = lattice.hidden[torch.randint(len(lattice), (sample,))]

    def dense() -> float:
        return _seconds(lambda: _dense(model, images, hidden)) / sample

    engine = MutantEvaluator(model, lattice, token_budget=8192)
    merged = [0.0] * rounds
    forward = [0.0] * rounds
    for i in track(range(rounds), description=f"{patch} px"):
        forward[i] = dense()
        merged[i] = _seconds(lambda: engine.evaluate(images, MRCert()))
    ratios = [m / (f * tuples) for m, f in zip(merged, forward, strict=True)]
    for way, count, ratio in (
        ("direct, dense", tuples, 1.0),
        ("distinct, dense", len(lattice), len(lattice) / tuples),
        ("distinct, merged", len(lattice), statistics.median(ratios)),
    ):
        table.add_row(f"{patch} px", way, f"{count:,}", f"{ratio:.3f}", f"{1 / ratio:.1f}")


@torch.inference_mode()
def _dense(model: ViTSRF, images: Tensor, hidden: Tensor) -> None:
    features = model.encode(images)
    for rows in hidden.split(_DENSE_BATCH):
        for image in features:
            model.classify(image.expand(len(rows), *image.shape), rows)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
