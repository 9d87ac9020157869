"""Ways to label the mutants of images: as published, and as the engine does it."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import combinations_with_replacement
from operator import or_
from typing import Any

import torch
from torch import Tensor

from benchmarks.rows import Way
from mrcert_pl.defenders import Defender, OutputLevel
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.mutants import MutantEvaluator
from mrcert_pl.mutants.evaluator import Queries

_DENSE_BATCH = 16
_OUTPUTS = (OutputLevel.LABEL, OutputLevel.CERTIFICATE, OutputLevel.ROUND_TRIP)


def labelling_ways(
    model: Any,
    lattice: UnionLattice,
    images: Tensor,
    defenders: Sequence[Defender[Any]],
    sample: int,
    token_budget: int | None = None,
) -> list[Way]:
    """The ways, the slowest first.

    - *direct*: a whole forward pass for every tuple of ``order`` masks with repetition, by the path of the model that
      computes all tokens, if it has one;
    - *direct, encoded once*: the same, but what no mask changes is computed once for each image;
    - *distinct*: such a pass for every distinct union;
    - *engine*: all distinct unions by the mutant engine, at the cost of what is visible;
    - *mrcert: label* and so on: the ones that a defender asks for lazily, for the label, with its certificate, with its
      round trip.

    Args:
        model: a model whose windows can be hidden.
        lattice: the mutants.
        images: ``[image, channel, height, width]``.
        defenders: those that are asked lazily; none if the labels of the model mean nothing.
        sample: dense forward passes that are timed instead of all of them.
        token_budget: most tokens in one batch of the engine.
    """
    tuples = list(combinations_with_replacement(lattice.masks, lattice.order))
    drawn = [reduce(or_, tuples[i]) for i in torch.randint(len(tuples), (sample,)).tolist()]
    every = lattice.hidden[[lattice.index(union) for union in drawn]].to(images.device)
    distinct = lattice.hidden[torch.randint(len(lattice), (sample,))].to(images.device)
    flops = TableFlops(model, lattice.hidden)
    # Once for all the mutants of an image: too little to be timed with a sample of them.
    with torch.no_grad():
        features = model.encode(images[:1])

    def whole() -> tuple[float, float]:
        for rows in every.split(_DENSE_BATCH):
            model(images[:1].expand(len(rows), *images.shape[1:]), rows)
        return sample, sample * flops.encoding + dense_flops(model, every)

    def classified(hidden: Tensor) -> tuple[float, float]:
        for rows in hidden.split(_DENSE_BATCH):
            model.classify(features.expand(len(rows), *features.shape[1:]), rows)
        return sample, dense_flops(model, hidden)

    def engine(defender: Queries) -> Callable[[], tuple[float, float]]:
        def work() -> tuple[float, float]:
            table = MutantEvaluator(model, lattice, token_budget).evaluate(images, defender)
            return float(table.evaluated.sum()), float(flops.per_image(table.evaluated).sum())

        return work

    ways = [
        Way("direct", whole, 1, len(tuples) / sample, sample),
        Way("direct, encoded once", partial(classified, every), 1, len(tuples) / sample, sample),
        Way("distinct, encoded once", partial(classified, distinct), 1, len(lattice) / sample, sample),
        Way("engine, all mutants", engine(_Everything()), len(images)),
    ]
    for defender in defenders:
        for output in _OUTPUTS:
            name = f"{defender.name}: {output.value.replace('_', ' ')}"
            ways.append(Way(name, engine(defender.with_output(output)), len(images)))
    return [_without_gradients(way) for way in ways]


def dense_flops(model: Any, hidden: Tensor) -> float:
    """Floating point operations of ``model.classify``: of all tokens where hidden ones are zero but stay in."""
    stays = getattr(model, "hidden", None) == "zero"
    return float(model.mutant_flops(torch.zeros_like(hidden) if stays else hidden).sum())


class _Everything:
    """Wants the whole table."""

    def next_queries(self, table: Any) -> Any:
        return ~table.evaluated


def _without_gradients(way: Way) -> Way:
    return Way(way.name, torch.inference_mode()(way.work), way.items, way.scale, way.sample)
