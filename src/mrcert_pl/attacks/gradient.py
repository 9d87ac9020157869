"""Common parts of gradient attacks on a base model: batches of starts, spaces, and reproducible draws."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mrcert_pl.attacks.ascent import Best, Bounds, Objective, ascend, check_ascents, check_whole
from mrcert_pl.attacks.base import AttackedImage, PatchAttack
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models.protocols import AttackableModel, BaseModel

SPACES = ("pixel", "authors")


class Start(NamedTuple):
    """A random start: its number, the placement of its patch, and the generator of its content."""

    number: int
    placement: Placement
    draws: np.random.Generator


class GradientAttack(PatchAttack):
    """Attacks that start from random contents and move them by the sign of the gradient.

    By default the objective is the cross entropy of the base model on the true label. Spaces:

    - ``pixel``: the content is anything in [0, 1], its start is uniform there, and a step is ``step_size``.
    - ``authors``: MRCert's published code, which uses the same numbers on normalised images. The start is the original
      plus a uniform draw from [-1, 1] standard deviations; a pixel stays within one standard deviation of the original
      and a step is ``step_size`` standard deviations. Start and steps are clipped to one scalar range for all channels,
      that of the normalised evaluation images. Nothing is rounded to the 8-bit grid, and values may leave [0, 1].

    Every draw is derived from the seed, the id of the image and the start. The starts of an image fill batches of their
    own, as many in each as the token budget allows: no arithmetic is shared with other images, so the result for one
    image is the same, to the bit, for every order and number of images, batches and devices, and after a stop. Another
    token budget, precision, number of threads, kind of device or version of torch rounds differently, and the sign of a
    gradient that is nearly zero may change with it.

    Args:
        patch: Patch; a start takes one of its shapes.
        starts: Number of random starts.
        steps: Gradient steps of each start.
        step_size: Size of a step, see above.
        space: ``pixel`` or ``authors``.
        quantize: Round the pixels of the patch to the 8-bit grid before they are scored; ``authors`` never does.
        clip: Scalar range of ``authors``, in normalised units, from :func:`normalised_range`.
        early_stop: Leave an image as soon as its best iterate is a success, see :meth:`succeeded`.
        token_budget: Token budget of one batch of starts.
        seed: Seed of all draws.

    Raises:
        ConfigurationError: For an unknown space, or values of another type or out of range.
    """

    def __init__(
        self,
        patch: PatchSpec,
        starts: int = 80,
        steps: int = 150,
        step_size: float = 0.05,
        space: str = "pixel",
        quantize: bool = True,
        clip: Sequence[float] | None = None,
        early_stop: bool = False,
        token_budget: int = 16384,
        seed: int = 0,
    ) -> None:
        if space not in SPACES:
            raise unknown("space of an attack", space, SPACES)
        check_ascents(starts, steps, step_size)
        check_whole("the token budget of an attack", token_budget, 1)
        check_whole("the seed of an attack", seed, 0)
        for name, flag in (("quantize", quantize), ("early_stop", early_stop)):
            if not isinstance(flag, bool):
                raise ConfigurationError(f"attack.{name} must be true or false, got {flag!r}")
        if clip is not None and space != "authors":
            raise ConfigurationError(f"clip= belongs to space=authors, got {clip!r} with space={space}")
        if clip is not None and not _is_range(clip):
            raise ConfigurationError(f"clip must be a lower and a larger upper value, got {clip!r}")
        self.patch = patch
        self.starts = starts
        self.steps = steps
        self.step_size = step_size
        self.space = space
        self.quantize = quantize and space == "pixel"
        self.clip = None if clip is None else (float(clip[0]), float(clip[1]))
        self.early_stop = early_stop
        self.token_budget = token_budget
        self.seed = seed

    @property
    def needs_clip(self) -> bool:
        return self.space == "authors" and self.clip is None

    def settings(self) -> dict[str, Any]:
        size = self.patch.size
        plain = {**vars(self), "clip": None if self.clip is None else list(self.clip)}
        return {"attack": self.name, **plain, "patch": list(size) if isinstance(size, tuple) else size}

    def gradient_steps(self, image_px: tuple[int, int]) -> int:
        """Return the largest number of gradient steps per image, over all starts.

        Args:
            image_px: ``(height, width)`` of the images in pixels.
        """
        return self.starts * self.steps

    def climb(
        self,
        model: BaseModel,
        image: Float[Tensor, "3 height width"],
        label: int,
        starts: Sequence[Start],
        steps: int,
        known: Sequence[AttackedImage] = (),
    ) -> list[AttackedImage]:
        """Return the best iterate of every start, in their order; with ``early_stop`` the last ones may be missing.

        Args:
            model: Base model in evaluation mode.
            image: Image with values in [0, 1].
            label: True label.
            starts: Random starts.
            steps: Gradient steps of each.
            known: Best iterates of earlier starts: ``early_stop`` takes the best of all.

        Raises:
            ConfigurationError: For a model in training mode, or a missing ``clip``.
            NumericalError: For logits that are not finite.
        """
        if model.training:
            raise ConfigurationError("the model is in training mode, where labels are random; call model.eval() first")
        begun, bounds = self._start_space(model, image)
        found: list[AttackedImage] = []

        def enough(best: Best) -> bool:
            if not self.early_stop:
                return False
            champion = best.champion()
            loss, prediction = float(best.scores[champion]), int(best.labels[champion])
            earlier = max((one.loss for one in (*known, *found)), default=-math.inf)
            return loss > earlier and self.succeeded(loss, prediction, label)

        objective = self.objective(model, label)
        at_once = max(1, self.token_budget // self.tokens(model))
        for first in range(0, len(starts), at_once):
            batch = starts[first : first + at_once]
            images = torch.stack([_begin(image, begun, bounds, start) for start in batch])
            patches = torch.stack([start.placement.mask(image.shape[1:]) for start in batch]).to(image.device)
            best = ascend(objective, images, patches, bounds, steps, self.quantize, enough)
            columns = (best.images, best.scores.tolist(), best.labels.tolist(), best.steps.tolist())
            found += [
                AttackedImage(attacked, start.placement, loss, prediction, start.number, step)
                for start, attacked, loss, prediction, step in zip(batch, *columns, strict=True)
            ]
            if self.may_stop([*known, *found], label):
                break
        return found

    def may_stop(self, found: Sequence[AttackedImage], label: int) -> bool:
        """Return whether ``early_stop`` ends the attack on an image whose best iterates are these."""
        best = worst(found)
        return self.early_stop and self.succeeded(best.loss, best.prediction, label)

    def succeeded(self, loss: float, prediction: int, label: int) -> bool:
        """Return whether an iterate is a success: the model misclassifies it.

        Args:
            loss: Score of the iterate.
            prediction: Its label by the model.
            label: True label.
        """
        return prediction != label

    def objective(self, model: BaseModel, label: int) -> Objective:
        """Return the scores that the steps maximise."""
        return cross_entropy(model, label)

    def tokens(self, model: BaseModel) -> int:
        """Return the number of tokens of one start in a batch."""
        return int(model.mutant_tokens(torch.zeros(1, model.windows, dtype=torch.bool)))

    def _start_space(self, model: BaseModel, image: Tensor) -> tuple[tuple[Tensor, Tensor], Bounds]:
        """Return the range of the initial content, before the bounds clip it, and the bounds."""
        if self.space == "pixel":
            low, high = torch.zeros_like(image), torch.ones_like(image)
            return (low, high), Bounds(low, high, torch.tensor(self.step_size, device=image.device))
        if self.clip is None:
            raise ConfigurationError(
                "space=authors clips to the range of the normalised evaluation images: give clip=(low, high), as "
                "mrcert_pl.attacks.normalised_range returns it"
            )
        if not isinstance(model, AttackableModel):
            raise ConfigurationError(f"space=authors needs a model with normalisation, unlike {type(model).__name__}")
        mean, std = (value[0] for value in model.normalisation)
        low, high = image - std, image + std
        least, largest = (mean + value * std for value in self.clip)
        return (low, high), Bounds(low.clamp(least, largest), high.clamp(least, largest), self.step_size * std)


def normalised_range(images: Iterable[Float[Tensor, "3 height width"]], model: AttackableModel) -> tuple[float, float]:
    """Return the smallest and the largest value of normalised images, over all of them and their channels.

    The published code takes it over all images of the evaluation set; for ``space=authors``.

    Args:
        images: Images with values in [0, 1].
        model: Model whose normalisation is used.
    """
    mean, std = (value[0].cpu() for value in model.normalisation)
    low, high = math.inf, -math.inf
    for image in images:
        normalised = (image.cpu() - mean) / std
        low, high = min(low, float(normalised.min())), max(high, float(normalised.max()))
    return low, high


def _is_range(values: object) -> bool:
    """Return whether some values are two numbers, the larger one last."""
    if not isinstance(values, Sequence) or len(values) != 2:
        return False
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and values[0] < values[1]


def worst(attacked: Sequence[AttackedImage]) -> AttackedImage:
    """Return the one with the highest loss, the first of equals."""
    return max(attacked, key=lambda one: one.loss)


def cross_entropy(model: BaseModel, label: int) -> Objective:
    """Return the objective of an attack on a base model: its loss on the true label."""

    def objective(images: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images).float()
        target = torch.full((len(images),), label, device=images.device)
        return F.cross_entropy(logits, target, reduction="none"), logits.argmax(1)

    return objective


def _begin(image: Tensor, begun: tuple[Tensor, Tensor], bounds: Bounds, start: Start) -> Tensor:
    """Return the image with a random content, uniform within the initial range and then clipped to the bounds."""
    pixels = start.placement.pixels
    patched = image.clone()
    uniform = torch.from_numpy(start.draws.random(patched[pixels].shape, dtype=np.float32)).to(image.device)
    low, high = (value[pixels] for value in begun)
    patched[pixels] = (low + (high - low) * uniform).clamp(bounds.low[pixels], bounds.high[pixels])
    return patched
