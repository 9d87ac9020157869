"""What attacks on a base model share: batches of starts, spaces, and draws that depend on nothing else."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcert_pl.attacks.ascent import Best, Bounds, Objective, ascend, check_ascents
from mrcert_pl.attacks.base import AttackedImage, PatchAttack
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import PatchSpec

Space = Literal["pixel", "authors"]


class Start(NamedTuple):
    """Where a start puts its patch, and the random numbers of its content."""

    number: int
    placement: Placement
    draws: np.random.Generator


class GradientAttack(PatchAttack):
    """Attacks that begin with random contents and move them by the sign of the gradient.

    What is climbed is the cross entropy of the base model on the true label. The content begins uniform over what is
    allowed:

    - ``pixel``: the content is anything in [0, 1], and a step is ``step_size`` of that.
    - ``authors``: as in MRCert's published code the same numbers are used on normalised images. A pixel stays
      within one standard deviation of the original, may leave [0, 1], and a step is ``step_size`` standard deviations.

    Every draw comes from the seed, the id of the image and the start. The starts of an image fill batches of their own,
    as many in each as the token budget allows: no arithmetic is shared with other images, so what comes out for one is
    the same, to the bit, for every order and number of images, batches and devices, and after a stop. Another token
    budget, precision, number of threads, kind of device or version of torch rounds otherwise, and the sign of a
    gradient that is nearly zero may follow it.

    Args:
        patch: the patch; a start takes one of its shapes.
        starts: random starts.
        steps: gradient steps of each.
        step_size: of a step.
        space: see above.
        quantize: the pixels of the patch are on the 8-bit grid, as those of a picture; what is scored is the picture.
        early_stop: leave an image as soon as the iterate that would be kept is misread.
        token_budget: most tokens in one batch of starts.
        seed: of all draws.

    Raises:
        ConfigurationError: for an unknown space, or numbers out of range.
    """

    def __init__(
        self,
        patch: PatchSpec,
        starts: int = 80,
        steps: int = 150,
        step_size: float = 0.05,
        space: Space = "pixel",
        quantize: bool = True,
        early_stop: bool = False,
        token_budget: int = 16384,
        seed: int = 0,
    ) -> None:
        if space not in get_args(Space):
            raise unknown("space of an attack", space, get_args(Space))
        check_ascents(starts, steps, step_size)
        if token_budget < 1:
            raise ConfigurationError(f"the token budget of an attack must be at least 1, not {token_budget}")
        self.patch = patch
        self.starts = starts
        self.steps = steps
        self.step_size = step_size
        self.space = space
        self.quantize = quantize
        self.early_stop = early_stop
        self.token_budget = token_budget
        self.seed = seed

    def settings(self) -> dict[str, Any]:
        size = self.patch.size
        return {"attack": self.name, **vars(self), "patch": list(size) if isinstance(size, tuple) else size}

    def climb(self, model: Any, image: Tensor, label: int, starts: Sequence[Start], steps: int) -> list[AttackedImage]:
        """The best iterate of every start, in their order; with ``early_stop`` the last ones may be missing.

        Args:
            model: as for :meth:`attack`.
            image: ``[3, height, width]``.
            label: its true label.
            starts: where to begin.
            steps: gradient steps of each.

        Raises:
            ConfigurationError: for a model in training mode.
            NumericalError: for logits that are not finite.
        """
        if model.training:
            raise ConfigurationError("the model is in training mode, where labels are random; call model.eval() first")
        bounds = self._bounds(model, image)

        def misread(best: Best) -> bool:
            return self.early_stop and int(best.labels[best.champion()]) != label

        found: list[AttackedImage] = []
        at_once = self._at_once(model)
        for first in range(0, len(starts), at_once):
            batch = starts[first : first + at_once]
            begun = torch.stack([_begin(image, bounds, start) for start in batch])
            patches = torch.stack([start.placement.mask(image.shape[1:]) for start in batch]).to(image.device)
            best = ascend(cross_entropy(model, label), begun, patches, bounds, steps, self.quantize, misread)
            columns = (best.images, best.scores.tolist(), best.labels.tolist(), best.steps.tolist())
            found += [
                AttackedImage(attacked, start.placement, loss, prediction, start.number, step)
                for start, attacked, loss, prediction, step in zip(batch, *columns, strict=True)
            ]
            if self.early_stop and worst(found).prediction != label:
                break
        return found

    def _at_once(self, model: Any) -> int:
        """Starts in one batch."""
        tokens = model.mutant_tokens(torch.zeros(1, model.windows, dtype=torch.bool, device=model.mean.device))
        return max(1, self.token_budget // int(tokens))

    def _bounds(self, model: Any, image: Tensor) -> Bounds:
        if self.space == "pixel":
            low, high, unit = torch.zeros_like(image), torch.ones_like(image), torch.ones_like(model.mean[0])
        else:
            unit = model.std[0]
            low, high = image - unit, image + unit
        return Bounds(low, high, self.step_size * unit)


def worst(attacked: Sequence[AttackedImage]) -> AttackedImage:
    """The one with the highest loss, the first of equals."""
    return max(attacked, key=lambda one: one.loss)


def cross_entropy(model: Any, label: int) -> Objective:
    """The objective of an attack on a base model: its loss on the true label."""

    def objective(images: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images).float()
        target = torch.full((len(images),), label, device=images.device)
        return F.cross_entropy(logits, target, reduction="none"), logits.argmax(1)

    return objective


def _begin(image: Tensor, bounds: Bounds, start: Start) -> Tensor:
    """The image with a random content, uniform within the bounds."""
    pixels = start.placement.pixels
    begun = image.clone()
    uniform = torch.from_numpy(start.draws.random(begun[pixels].shape, dtype=np.float32)).to(image.device)
    low, high = bounds.low[pixels], bounds.high[pixels]
    begun[pixels] = low + (high - low) * uniform
    return begun
