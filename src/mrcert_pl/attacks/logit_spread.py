"""How far the logits of one masked image move between runs: what the margin of a certificate must exceed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.mutants.table import MutantSet


@dataclass(frozen=True)
class Spread:
    """How far one way to compute the logits is from computing every mutant alone.

    Attributes:
        way: what was done otherwise.
        precision: of the arithmetic.
        delta: largest difference of any logit.
        flips: mutants whose label differs.
        mutants: number of mutants compared.
    """

    way: str
    precision: str
    delta: float
    flips: int
    mutants: int


class LogitSpread:
    """Computes the same mutants in several ways and compares their logits (docs/theory.md, section 6).

    Args:
        model: a base model in evaluation mode, on the device of the images.
        lattice: the mutants to choose from.
        images: ``[image, channel, height, width]`` in [0, 1].
        mutants: number of mutants per image, drawn without replacement; the unmasked one is always among them.
        seed: of the draws.

    Raises:
        ConfigurationError: for less than one image or mutant.
        NumericalError: for logits that are not finite.
    """

    def __init__(self, model: Any, lattice: MutantSet, images: Tensor, mutants: int = 32, seed: int = 0) -> None:
        if len(images) < 1 or mutants < 1:
            raise ConfigurationError(
                f"the spread of logits needs at least one image and one mutant of it, not {len(images)} and {mutants}"
            )
        draws = torch.Generator().manual_seed(seed)
        others = min(mutants, len(lattice)) - 1
        columns = [torch.randperm(len(lattice) - 1, generator=draws)[:others] + 1 for _ in images]
        self.model = model
        self.images = images
        self.image = torch.arange(len(images)).repeat_interleave(1 + others)
        self.hidden = lattice.hidden[torch.cat([torch.cat([torch.tensor([0]), drawn]) for drawn in columns])]
        self._shuffled = torch.randperm(len(self.image), generator=draws)
        alone = []
        for i in range(len(images)):
            hidden = self.hidden[self.image == i]
            alone.append(self._logits(images[i : i + 1], torch.zeros(len(hidden), dtype=torch.long), hidden, 1))
        self._alone = torch.cat(alone)
        self._runs = [("float32", self._alone)]
        if not self._alone.isfinite().all():
            raise NumericalError("there are logits that are not finite: the weights or an image are damaged")

    def ways(self) -> dict[str, Callable[[], Spread]]:
        """The comparisons that can be made here, by what they do otherwise."""
        runs: dict[str, tuple[str, Callable[[], Tensor]]] = {
            "whole batches": ("float32", self._whole),
            "three at a time, other neighbours": ("float32", self._neighbours),
            "one thread": ("float32", self._one_thread),
            "bfloat16": ("bfloat16", partial(self._bfloat16, self._whole)),
            "bfloat16, other neighbours": ("bfloat16", partial(self._bfloat16, self._neighbours)),
        }
        if hasattr(self.model, "classify"):
            runs["dense path"] = ("float32", self._dense)
        if torch.cuda.is_available():
            runs["GPU"] = ("float32", partial(self._gpu, "_whole"))
            runs["GPU, other neighbours"] = ("float32", partial(self._gpu, "_neighbours"))
        return {way: partial(self._compare, way, *run) for way, run in runs.items()}

    def delta(self, precision: str) -> float:
        """Largest difference of any logit between any two of the runs so far in float32 and in this precision.

        This is the ``δ`` of docs/theory.md, Theorem 6: it can be twice as large as each run's own difference from
        computing every mutant alone.
        """
        runs = torch.stack([logits for other, logits in self._runs if other in ("float32", precision)])
        return float((runs.amax(0) - runs.amin(0)).max())

    @torch.inference_mode()
    def _compare(self, way: str, precision: str, run: Callable[[], Tensor]) -> Spread:
        logits = run().float().cpu()
        self._runs.append((precision, logits))
        flips = int((logits.argmax(1) != self._alone.argmax(1)).sum())
        return Spread(way, precision, float((logits - self._alone).abs().max()), flips, len(logits))

    @torch.inference_mode()
    def _logits(self, images: Tensor, image: Tensor, hidden: Tensor, size: int) -> Tensor:
        """Logits of mutants by the fast path, in batches of at most ``size`` that cost the same."""
        features, tokens = self.model.encode(images), self.model.mutant_tokens(hidden)
        image, hidden = image.to(images.device), hidden.to(images.device)
        logits: list[Tensor] = [torch.empty(0)] * len(image)
        for count in tokens.unique():
            for rows in (tokens == count).nonzero()[:, 0].split(size):
                batch = self.model.classify_mutants(features, image[rows], hidden[rows])
                for row, values in zip(rows.tolist(), batch, strict=True):
                    logits[row] = values
        return torch.stack(logits).float().cpu()

    def _whole(self) -> Tensor:
        return self._logits(self.images, self.image, self.hidden, len(self.image))

    def _neighbours(self) -> Tensor:
        order = self._shuffled
        return self._logits(self.images, self.image[order], self.hidden[order], 3)[order.argsort()]

    def _one_thread(self) -> Tensor:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self._whole()
        finally:
            torch.set_num_threads(threads)

    def _dense(self) -> Tensor:
        device = self.images.device
        return self.model.classify(self.model.encode(self.images)[self.image.to(device)], self.hidden.to(device))

    def _bfloat16(self, run: Callable[[], Tensor]) -> Tensor:
        with torch.autocast(self.images.device.type, torch.bfloat16):
            return run()

    def _gpu(self, run: str) -> Tensor:
        there = copy.copy(self)
        there.model, there.images = copy.deepcopy(self.model).cuda(), self.images.cuda()
        return getattr(there, run)()
