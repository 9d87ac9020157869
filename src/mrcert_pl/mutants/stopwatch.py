"""Run time of a model on a device, independent of its weights."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrcert_pl.mutants.evaluator import MaskableModel
from mrcert_pl.mutants.memory import fitting_budget

Result = TypeVar("Result")

# Number of different mutant sizes that are timed, and the time for each; sizes between them are interpolated.
_SIZES = 4
_SECONDS = 0.4


def timed(work: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Run time of some work in seconds, until the device has finished it, and its result."""
    _synchronise(device)
    start = time.perf_counter()
    result = work()
    _synchronise(device)
    return time.perf_counter() - start, result


class Stopwatch:
    """Run times of encoding and of mutants, measured for a few sizes.

    Args:
        model: base model with any weights, on its device.
        image_px: ``(height, width)`` of the images in pixels.
        hidden: mutants whose run time is needed.
        device: device of the model.
        token_budget: largest number of tokens per batch; default: derived from free device memory.
        on_progress: callback with the number of finished and of all measurements.

    Attributes:
        encoding: seconds to encode one image.
    """

    def __init__(
        self,
        model: MaskableModel,
        image_px: tuple[int, int],
        hidden: Bool[Tensor, "mutant window"],
        device: torch.device,
        token_budget: int | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        token_budget = token_budget or fitting_budget(device)
        self._model = model
        self._device = device
        image = torch.rand(1, 3, *image_px, device=device)
        with torch.inference_mode():
            features = model.encode(image)
            self.encoding, _ = timed(lambda: model.encode(image), device)
            tokens = model.mutant_tokens(hidden)
            sizes = tokens.unique().tolist()
            chosen = sorted({round(position) for position in np.linspace(0, len(sizes) - 1, _SIZES)})
            self._sizes = [sizes[position] for position in chosen]
            self._seconds: list[float] = []
            for size in self._sizes:
                row = hidden[int((tokens == size).nonzero()[0])].to(device)
                self._seconds.append(self._per_mutant(features, row, max(1, token_budget // size)))
                if on_progress is not None:
                    on_progress(len(self._seconds), len(self._sizes))

    def seconds(self, hidden: Bool[Tensor, "mutant window"]) -> Float[Tensor, " mutant"]:
        """Run time of each mutant in seconds."""
        return torch.from_numpy(np.interp(self._model.mutant_tokens(hidden).numpy(), self._sizes, self._seconds))

    def _per_mutant(
        self, features: Float[Tensor, "image ..."], hidden: Bool[Tensor, " window"], largest_batch: int
    ) -> float:
        def run(mutants: int) -> float:
            image = torch.zeros(mutants, dtype=torch.long, device=self._device)
            rows = hidden.expand(mutants, -1)
            return timed(lambda: self._model.classify_mutants(features, image, rows), self._device)[0]

        run(1)
        batch = min(largest_batch, max(1, int(_SECONDS / run(1))))
        return run(batch) / batch


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
