"""Difference of logits between methods of computation: what the margin of a certificate must exceed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.models.protocols import DenseModel
from mrcert_pl.mutants import MutantSet
from mrcert_pl.mutants.evaluator import MaskableModel

METHODS = 7
"""Largest number of computations of a mutant on a CPU: alone, and by each of the methods."""


@dataclass(frozen=True)
class Spread:
    """Difference between one method to compute logits and computing every mutant alone.

    Attributes:
        method: What is computed differently.
        precision: Precision of the arithmetic.
        delta: Largest difference of a logit.
        flips: Number of mutants whose label differs.
        mutants: Number of mutants compared.
    """

    method: str
    precision: str
    delta: float
    flips: int
    mutants: int


class LogitSpread:
    """Compute the same mutants by several methods and compare their logits (docs/theory.md, section 6).

    Args:
        model: Base model in evaluation mode, on the device of the images.
        mutants: Mutants to draw from; the first one hides nothing.
        images: Images with values in [0, 1].
        per_image: Number of mutants per image, drawn without replacement; the first one is always among them.
        seed: Seed of the draws.

    Raises:
        ConfigurationError: For less than one image or mutant.
        NumericalError: For logits that are not finite, by the comparisons too.
    """

    def __init__(
        self,
        model: MaskableModel,
        mutants: MutantSet,
        images: Float[Tensor, "image channel height width"],
        per_image: int = 32,
        seed: int = 0,
    ) -> None:
        if len(images) < 1 or per_image < 1:
            raise ConfigurationError(
                f"the spread of logits needs at least one image and one mutant of it, got {len(images)} and {per_image}"
            )
        draws = torch.Generator().manual_seed(seed)
        others = min(per_image, len(mutants)) - 1
        columns = [torch.randperm(len(mutants) - 1, generator=draws)[:others] + 1 for _ in images]
        self.model = model
        self.images = images
        self.image = torch.arange(len(images)).repeat_interleave(1 + others)
        self.hidden = mutants.hidden[torch.cat([torch.cat([torch.tensor([0]), drawn]) for drawn in columns])]
        self._shuffled = torch.randperm(len(self.image), generator=draws)
        alone = []
        for i in range(len(images)):
            hidden = self.hidden[self.image == i]
            alone.append(_logits(model, images[i : i + 1], torch.zeros(len(hidden), dtype=torch.long), hidden, 1))
        self._alone = _finite(torch.cat(alone), "each mutant alone")
        self._runs = [("float32", self._alone)]

    def methods(self) -> dict[str, Callable[[], Spread]]:
        """Return the comparisons that this machine and this model allow, by method."""
        runs: dict[str, tuple[str, Callable[[], Tensor]]] = {
            "whole batches": ("float32", self._whole),
            "three at a time, other neighbours": ("float32", self._neighbours),
            "one thread": ("float32", partial(_one_thread, self._whole)),
            "bfloat16": ("bfloat16", partial(self._bfloat16, self._whole)),
            "bfloat16, other neighbours": ("bfloat16", partial(self._bfloat16, self._neighbours)),
        }
        if isinstance(self.model, DenseModel):
            runs["dense path"] = ("float32", partial(self._dense, self.model))
        if isinstance(self.model, nn.Module) and torch.cuda.is_available():
            runs["GPU"] = ("float32", partial(self._on_gpu, self.model, LogitSpread._whole))
            runs["GPU, other neighbours"] = ("float32", partial(self._on_gpu, self.model, LogitSpread._neighbours))
        return {method: partial(self._compare, method, *run) for method, run in runs.items()}

    def delta(self, precision: str) -> float:
        """Return the largest difference of a logit between any two of the runs so far in float32 and this precision.

        It is the ``δ`` of docs/theory.md, Theorem 6, and can be twice as large as each run's own difference from
        computing every mutant alone.
        """
        runs = torch.stack([logits for other, logits in self._runs if other in ("float32", precision)])
        return float((runs.amax(0) - runs.amin(0)).max())

    @torch.inference_mode()
    def _compare(self, method: str, precision: str, run: Callable[[], Tensor]) -> Spread:
        logits = _finite(run().float().cpu(), method)
        self._runs.append((precision, logits))
        flips = int((logits.argmax(1) != self._alone.argmax(1)).sum())
        return Spread(method, precision, float((logits - self._alone).abs().max()), flips, len(logits))

    def _whole(self) -> Tensor:
        return _logits(self.model, self.images, self.image, self.hidden, len(self.image))

    def _neighbours(self) -> Tensor:
        order = self._shuffled
        return _logits(self.model, self.images, self.image[order], self.hidden[order], 3)[order.argsort()]

    def _dense(self, model: DenseModel) -> Tensor:
        device = self.images.device
        return model.classify(model.encode(self.images)[self.image.to(device)], self.hidden.to(device))

    def _bfloat16(self, run: Callable[[], Tensor]) -> Tensor:
        with torch.autocast(self.images.device.type, torch.bfloat16):
            return run()

    def _on_gpu(self, model: nn.Module, run: Callable[["LogitSpread"], Tensor]) -> Tensor:
        there = copy.copy(self)
        there.model = cast(MaskableModel, copy.deepcopy(model).cuda())
        there.images = self.images.cuda()
        return run(there)


@torch.inference_mode()
def _logits(
    model: MaskableModel,
    images: Float[Tensor, "image channel height width"],
    image: Int[Tensor, " mutant"],
    hidden: Bool[Tensor, "mutant window"],
    size: int,
) -> Float[Tensor, "mutant class"]:
    """Compute mutants by the engine's path, in batches of at most ``size`` mutants with the same number of tokens."""
    features, tokens = model.encode(images), model.mutant_tokens(hidden)
    image, hidden = image.to(images.device), hidden.to(images.device)
    rows, logits = [], []
    for count in tokens.unique():
        for batch in (tokens == count).nonzero()[:, 0].split(size):
            rows.append(batch)
            logits.append(model.classify_mutants(features, image[batch], hidden[batch]).float().cpu())
    return torch.cat(logits)[torch.cat(rows).cpu().argsort()]


def _finite(logits: Float[Tensor, "mutant class"], method: str) -> Float[Tensor, "mutant class"]:
    if not logits.isfinite().all():
        raise NumericalError(f"logits are not finite ({method}): the weights or an image are damaged")
    return logits


def _one_thread(run: Callable[[], Tensor]) -> Tensor:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run()
    finally:
        torch.set_num_threads(threads)
