"""How long a model takes on this machine, whatever its weights."""

import time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from mrcert_pl.cli.build import pick_device
from mrcert_pl.mutants.memory import fitting_budget

# Mutants of so many different sizes are timed, for about so many seconds each; sizes between them are interpolated.
_SIZES = 4
_SECONDS = 0.4


class Stopwatch:
    """Times encoding, and mutants of a few sizes out of all that will be asked for.

    Args:
        model: a base model with weights of any kind.
        hidden: ``[mutant, window]``, the mutants that will be asked for.
        token_budget: most tokens in one batch of mutants; ``None``: what the device has memory for.
        device: ``cpu``, ``cuda``, or ``auto``: a GPU if there is one.
        title: what the progress bar says.

    Attributes:
        encoding: seconds to encode one image.

    Raises:
        ConfigurationError: for an unknown device, or one that isn't there.
    """

    def __init__(
        self, model: Any, hidden: Tensor, token_budget: int | None, device: str = "auto", title: str = ""
    ) -> None:
        device = pick_device(device)
        token_budget = token_budget or fitting_budget(torch.device(device))
        self._model = model.to(device)
        self._device = device
        image = torch.rand(1, 3, *model.image_px, device=device)
        self._tokens = model.mutant_tokens
        with torch.inference_mode():
            features = model.encode(image)
            self.encoding = self._timed(lambda: model.encode(image))
            tokens = model.mutant_tokens(hidden)
            sizes = tokens.unique().tolist()
            places = sorted({round(place) for place in np.linspace(0, len(sizes) - 1, _SIZES)})
            self._sizes = [sizes[place] for place in places]
            self._seconds = []
            for size in track(
                self._sizes, description=f"Measuring {title}", console=Console(stderr=True), transient=True
            ):
                row = hidden[int((tokens == size).nonzero()[0])].to(device)
                self._seconds.append(self._mutant(features, row, max(1, token_budget // size)))

    def seconds(self, hidden: Tensor) -> Tensor:
        """Seconds for each mutant, double ``[mutant]``, for ``hidden`` ``[mutant, window]``."""
        return torch.from_numpy(np.interp(self._tokens(hidden).numpy(), self._sizes, self._seconds))

    def _mutant(self, features: Tensor, hidden: Tensor, most: int) -> float:
        def run(mutants: int) -> float:
            image = torch.zeros(mutants, dtype=torch.long, device=self._device)
            return self._timed(lambda: self._model.classify_mutants(features, image, hidden.expand(mutants, -1)))

        run(1)
        batch = min(most, max(1, int(_SECONDS / run(1))))
        return run(batch) / batch

    def _timed(self, task: Any) -> float:
        start = time.perf_counter()
        task()
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


# Below so many mutants an evaluation is over before one has read how long it will take.
_MANY = 20_000


def announce(model: Any, mutants: Any, images: int, token_budget: int | None, trainer: Any) -> None:
    """Say what an evaluation will cost at most, if that is long: mutants, and the time measured on this device.

    Args:
        model: the base model.
        mutants: those that are asked for, of each image.
        images: images whose mutants are not known yet.
        token_budget: most tokens in one batch of mutants; ``None``: what the device has memory for.
        trainer: Lightning's, for its device and their number.
    """
    total = images * len(mutants)
    if total < _MANY:
        return
    watch = Stopwatch(model, mutants.hidden, token_budget, trainer.strategy.root_device.type, "the cost")
    seconds = images * (watch.encoding + float(watch.seconds(mutants.hidden).sum())) / trainer.world_size
    print(f"{images:,} images x {len(mutants):,} mutants each at most: about {duration(seconds)}")


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, in words."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
