"""The patch attack that certified defences are usually tried with (Levine and Feizi 2020)."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mrcert_pl.attacks.ascent import Best, Bounds, ascend
from mrcert_pl.attacks.base import AttackedImage, PatchAttack
from mrcert_pl.attacks.placement import Placement, draw_placement
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import PatchSpec

Space = Literal["pixel", "authors"]


class PatchIFGSM(PatchAttack):
    """Many random patches, each improved by signed gradient steps; the worst iterate of all is kept.

    Each start has a place for the patch, uniform over the image, and a content, uniform over what is allowed. Then all
    its pixels move by the sign of the gradient of the cross entropy of the base model on the true label. The place is
    not optimised, and nothing is known of a defender.

    - ``pixel``: the content is anything in [0, 1], and a step is ``step_size`` of that.
    - ``authors``: as in MRCert's published code the same numbers are used on normalised images. A pixel stays
      within one standard deviation of the original, may leave [0, 1], and a step is ``step_size`` standard deviations.

    Every draw comes from (seed, id of the image, start). The starts of an image fill batches of their own, as many in
    each as the token budget allows: no arithmetic is shared with other images, so what comes out for one is the same,
    to the bit, for every order and number of images, batches and devices, and after a stop. Another token budget,
    precision, number of threads, kind of device or version of torch rounds otherwise, and the sign of a gradient
    that is nearly zero may follow it.

    Args:
        patch: the patch; one of its shapes is drawn for each start.
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

    name = "ifgsm"

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
        for what, value, least in (("starts", starts, 1), ("steps", steps, 0), ("token budget", token_budget, 1)):
            if value < least:
                raise ConfigurationError(f"the {what} of an attack must be at least {least}, not {value}")
        if not step_size > 0:
            raise ConfigurationError(f"the step size of an attack must be positive, not {step_size}")
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

    def attack(self, model: Any, image: Tensor, label: int, key: int) -> AttackedImage:
        if model.training:
            raise ConfigurationError("the model is in training mode, where labels are random; call model.eval() first")
        objective = cross_entropy(model, label)
        bounds = self._bounds(model, image)

        def misread(best: Best) -> bool:
            return self.early_stop and int(best.labels[best.champion()]) != label

        found: AttackedImage | None = None
        for starts in torch.arange(self.starts).split(self._at_once(model)):
            begun = [self._begin(image, bounds, key, start) for start in starts.tolist()]
            images, patches, placements = zip(*begun, strict=True)
            best = ascend(
                objective, torch.stack(images), torch.stack(patches), bounds, self.steps, self.quantize, misread
            )
            champion = best.champion()
            if found is None or float(best.scores[champion]) > found.loss:
                found = AttackedImage(
                    image=best.images[champion],
                    placement=placements[champion],
                    loss=float(best.scores[champion]),
                    prediction=int(best.labels[champion]),
                    start=int(starts[champion]),
                    step=int(best.steps[champion]),
                )
            if self.early_stop and found.prediction != label:
                break
        assert found is not None
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

    def _begin(self, image: Tensor, bounds: Bounds, key: int, start: int) -> tuple[Tensor, Tensor, Placement]:
        """An image with a random patch, bool ``[1, height, width]`` of its pixels, and where it is."""
        draws = np.random.default_rng([self.seed, key, start])
        height, width = image.shape[1:]
        placement = draw_placement(self.patch, (height, width), draws)
        uniform = draws.random((len(image), placement.height, placement.width), dtype=np.float32)
        begun, pixels = image.clone(), placement.pixels
        low, high = bounds.low[pixels], bounds.high[pixels]
        begun[pixels] = low + (high - low) * torch.from_numpy(uniform).to(image.device)
        return begun, placement.mask((height, width)).to(image.device), placement


def cross_entropy(model: Any, label: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The objective of an attack on a base model: its loss on the true label."""

    def objective(images: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images).float()
        target = torch.full((len(images),), label, device=images.device)
        return F.cross_entropy(logits, target, reduction="none"), logits.argmax(1)

    return objective
