"""An attack on a defender: a white-box attack on the mutants that its verdict depends on."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.attacks.ascent import Bounds, Objective, ascend, check_ascents, check_whole, on_grid
from mrcert_pl.attacks.base import PlacedAttack
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import rectangle, windows_under
from mrcert_pl.models.protocols import BaseModel, DenseModel, GridModel

# A mutant whose best other class leads by this many logits adds no more to the score: the others need the steps.
WON = 1.0


class AdaptivePatch(PlacedAttack):
    """Gradient steps on a patch at a given placement, against the label of as many mutants as possible.

    The mutants that show a pixel of the patch are controlled by the attacker, the others are not. To change the verdict
    some of the former must disagree with the label that the latter keep (docs/theory.md, Theorem 7). The score of a
    patch is a mean over the unmasked image and a fixed draw of such mutants: the lead in logits of the best other class
    over the label, at most 1.

    Args:
        hidden: Hidden windows of the defender's mutants; the first one hides nothing.
        starts: Number of random contents.
        steps: Gradient steps of each.
        step_size: Size of a step, in units of [0, 1].
        mutants: Largest number of mutants in the score.
        seed: Seed of all draws, with the id of the image and the placement.

    Raises:
        ConfigurationError: For numbers out of range.
    """

    name = "adaptive"

    def __init__(
        self,
        hidden: Bool[Tensor, "mutant window"],
        starts: int = 1,
        steps: int = 20,
        step_size: float = 0.1,
        mutants: int = 16,
        seed: int = 0,
    ) -> None:
        check_ascents(starts, steps, step_size)
        check_whole("the mutants of an attack", mutants, 1)
        self.hidden = hidden
        self.starts = starts
        self.steps = steps
        self.step_size = step_size
        self.mutants = mutants
        self.seed = seed

    def patched(
        self,
        model: BaseModel,
        image: Float[Tensor, "3 height width"],
        label: int,
        placement: Placement,
        image_id: int,
    ) -> Iterator[tuple[str, Float[Tensor, "3 height width"]]]:
        if not isinstance(model, DenseModel):
            raise ConfigurationError(f"an adaptive attack needs a model with classify(), unlike {type(model).__name__}")
        draws = np.random.default_rng([self.seed, image_id, *placement])
        chosen = [0, *draws.permutation(self.candidates(model, placement).numpy())[: self.mutants - 1]]
        images = image.repeat(self.starts, 1, 1, 1)
        content = draws.random((self.starts, 3, placement.height, placement.width), dtype=np.float32)
        images[(slice(None), *placement.pixels)] = torch.from_numpy(content).to(image.device)
        patches = placement.mask(image.shape[1:]).to(image.device).expand(self.starts, -1, -1, -1)
        unit = torch.ones(1, device=image.device)
        best = ascend(
            self.objective(model, self.hidden[chosen].to(image.device), label),
            images,
            patches,
            Bounds(0 * unit, unit, self.step_size * unit),
            self.steps,
            quantize=True,
        )
        yield self.name, torch.where(patches[0], on_grid(best.images[best.champion()]), image)

    def candidates(self, model: BaseModel, placement: Placement) -> Int[Tensor, " candidate"]:
        """Numbers of the mutants that the score may include, beside the first one."""
        return shows_patch(model, self.hidden, placement).nonzero()[1:, 0]

    def objective(self, model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int) -> Objective:
        """The score of patched images on some mutants, the unmasked image first."""
        return disagreement(model, hidden, label)


def disagreement(model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int) -> Objective:
    """Return the objective of an adaptive attack: the mean lead over a label; labels are those of the first mutant."""

    def objective(images: Tensor) -> tuple[Tensor, Tensor]:
        logits = mutant_logits(model, hidden, images)
        others = logits.clone()
        others[..., label] = -torch.inf
        lead = (others.amax(2) - logits[..., label]).clamp(max=WON)
        return lead.mean(1), logits[:, 0].argmax(1)

    return objective


def mutant_logits(
    model: DenseModel, hidden: Bool[Tensor, "mutant window"], images: Float[Tensor, "image 3 height width"]
) -> Float[Tensor, "image mutant class"]:
    """Return the logits of the same mutants of every image, differentiable in its pixels."""
    features = model.encode(images).repeat_interleave(len(hidden), dim=0)
    logits = model.classify(features, hidden.repeat(len(images), 1)).float()
    return logits.unflatten(0, (len(images), len(hidden)))


def shows_patch(
    model: BaseModel, hidden: Bool[Tensor, "mutant window"], placement: Placement
) -> Bool[Tensor, " mutant"]:
    """Return for each mutant whether it shows a pixel of the patch.

    Args:
        model: Model with a grid of windows, or with bands of pixel rows and columns for a vote.
        hidden: Hidden windows of the mutants.
        placement: Placement of the patch.
    """
    rows = range(placement.top, placement.top + placement.height)
    columns = range(placement.left, placement.left + placement.width)
    if isinstance(model, GridModel):
        across = len(model.borders[1]) - 1
        under = rectangle(windows_under(model.borders[0], rows), windows_under(model.borders[1], columns), across)
        return (~hidden[:, [window for window in range(hidden.shape[1]) if under >> window & 1]]).any(1)
    height = model.image_px[0]
    shown_rows = ~hidden[:, rows.start : rows.stop]
    shown_columns = ~hidden[:, height + columns.start : height + columns.stop]
    return shown_rows.any(1) & shown_columns.any(1)
