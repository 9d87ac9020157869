"""Methods to label the mutants of images: as published, and by the engine."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, reduce
from itertools import combinations_with_replacement
from operator import or_
from typing import Any

import torch
from torch import Tensor

from benchmarks.rows import Method
from mrcert_pl.defenders import Defender, OutputLevel
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.mutants import MutantEvaluator
from mrcert_pl.mutants.evaluator import Queries

_DENSE_BATCH = 16
_OUTPUTS = (OutputLevel.LABEL, OutputLevel.CERTIFICATE, OutputLevel.ROUND_TRIP)


def labelling_methods(
    model: Any,
    lattice: UnionLattice,
    images: Tensor,
    defenders: Sequence[Defender[Any]],
    sample: int,
    token_budget: int | None = None,
    backend: str | None = None,
) -> list[Method]:
    """Return the methods; the first one is the reference.

    - *as published*: PatchCURE's and MRCert's code. The image is encoded once (SRF), and the rest (LRF) runs for every
      tuple of ``order`` masks with repetition, by the path of the model that computes all tokens, if it has one;
    - *full forward per tuple*: the same without sharing the encoding;
    - *distinct unions*: as published, but once for every distinct union;
    - *engine, all mutants*: all distinct unions by the mutant engine, at the cost of the visible tokens;
    - *engine, compiled*: the same with ``torch.compile``; the warm-up round compiles;
    - *mrcert: label* and so on: the mutants that a defender queries for an output level.

    Args:
        model: Base model.
        lattice: Mutants.
        images: Images ``[image, channel, height, width]``.
        defenders: Defenders that query lazily; none if the labels of the model mean nothing.
        sample: Number of dense forward passes that are timed instead of all of them.
        token_budget: Token budget of the engine.
        backend: Backend of ``torch.compile``; ``None``: no compilation.
    """
    tuples = list(combinations_with_replacement(lattice.masks, lattice.order))
    drawn = [reduce(or_, tuples[i]) for i in torch.randint(len(tuples), (sample,)).tolist()]
    every = lattice.hidden[[lattice.index(union) for union in drawn]].to(images.device)
    distinct = lattice.hidden[torch.randint(len(lattice), (sample,))].to(images.device)
    flops = TableFlops(model, lattice.hidden)
    # One encoding serves all mutants of an image: too little to be timed with a sample of them.
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

    def compiled_engine() -> tuple[float, float]:
        with compiled(model, backend):
            return engine(Everything())()

    methods = [
        Method("as published", partial(classified, every), 1, len(tuples) / sample, sample),
        Method("full forward per tuple", whole, 1, len(tuples) / sample, sample),
        Method("distinct unions", partial(classified, distinct), 1, len(lattice) / sample, sample),
        Method("engine, all mutants", engine(Everything()), len(images)),
    ]
    if backend is not None:
        methods.append(Method("engine, compiled", compiled_engine, len(images)))
    for defender in defenders:
        for output in _OUTPUTS:
            name = f"{defender.name}: {output.value.replace('_', ' ')}"
            methods.append(Method(name, engine(defender.with_output(output)), len(images)))
    return [_without_gradients(method) for method in methods]


def dense_flops(model: Any, hidden: Tensor) -> float:
    """Return the floating point operations of ``model.classify``, which keeps hidden tokens if they are zeroed."""
    stays = model.config.get("hidden_tokens") == "zero"
    return float(model.mutant_flops(torch.zeros_like(hidden) if stays else hidden).sum())


class Everything:
    """Query the whole table."""

    def next_queries(self, table: Any) -> Any:
        return ~table.evaluated


@contextmanager
def compiled(model: Any, backend: str | None) -> Iterator[None]:
    """Compile the blocks that label mutants, once for any number of tokens and of mutants."""
    if backend is None:
        yield
        return
    # Without the checks of classify_mutants, on whose results a program can't depend.
    model.classify_windows = torch.compile(model.classify_windows, dynamic=True, backend=backend)
    try:
        yield
    finally:
        del model.classify_windows


def _without_gradients(method: Method) -> Method:
    return replace(method, work=torch.inference_mode()(method.work))
