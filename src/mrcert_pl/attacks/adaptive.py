"""An attack on a defender: it knows the mutants that the verdict is made from."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import BoolTensor, Tensor

from mrcert_pl.attacks.ascent import Bounds, Objective, ascend, check_ascents, on_grid
from mrcert_pl.attacks.base import PlacedAttack
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.covering import rectangle, windows_under

# A mutant that prefers another class by so much in its logits is won; what is left goes into the others.
_WON = 1.0


class AdaptivePatch(PlacedAttack):
    """Gradient steps on a patch at a given place, against the label of as many mutants as possible.

    The owner of a patch has the labels of all mutants that show a pixel of it, and no others. To change the verdict he
    must turn some of his against the label that the others keep (docs/theory.md, Theorem 7). The score of a patch is
    the mean, over the unmasked image and a fixed draw of such mutants, of the best other class's lead in logits over
    the label, up to 1.

    Args:
        hidden: ``[mutant, window]``, the mutants that a defender looks at; the first hides nothing.
        starts: random contents.
        steps: gradient steps of each.
        step_size: of a step, in units of [0, 1].
        mutants: most mutants that the score is made from.
        seed: of all draws, with the id of the image and the placement.

    Raises:
        ConfigurationError: for numbers out of range.
    """

    def __init__(
        self,
        hidden: BoolTensor,
        starts: int = 1,
        steps: int = 20,
        step_size: float = 0.1,
        mutants: int = 16,
        seed: int = 0,
    ) -> None:
        check_ascents(starts, steps, step_size)
        if mutants < 1:
            raise ConfigurationError(f"the mutants of an attack must be at least 1, not {mutants}")
        self.hidden = hidden
        self.starts = starts
        self.steps = steps
        self.step_size = step_size
        self.mutants = mutants
        self.seed = seed

    def patched(
        self, model: Any, image: Tensor, label: int, placement: Placement, key: int
    ) -> Iterator[tuple[str, Tensor]]:
        draws = np.random.default_rng([self.seed, key, *placement])
        theirs = shows_patch(model, self.hidden, placement).nonzero()[:, 0].numpy()[1:]
        chosen = [0, *draws.permutation(theirs)[: self.mutants - 1]]
        images = image.repeat(self.starts, 1, 1, 1)
        content = draws.random((self.starts, 3, placement.height, placement.width), dtype=np.float32)
        images[(slice(None), *placement.pixels)] = torch.from_numpy(content).to(image.device)
        patches = placement.mask(image.shape[1:]).to(image.device).expand(self.starts, -1, -1, -1)
        unit = torch.ones(1, device=image.device)
        best = ascend(
            disagreement(model, self.hidden[chosen].to(image.device), label),
            images,
            patches,
            Bounds(0 * unit, unit, self.step_size * unit),
            self.steps,
            quantize=True,
        )
        yield "adaptive", torch.where(patches[0], on_grid(best.images[best.champion()]), image)


def disagreement(model: Any, hidden: Tensor, label: int) -> Objective:
    """How far mutants ``hidden`` ``[mutant, window]`` are from a label, and the labels of the first mutant."""

    def objective(images: Tensor) -> tuple[Tensor, Tensor]:
        features = model.encode(images).repeat_interleave(len(hidden), dim=0)
        logits = model.classify(features, hidden.repeat(len(images), 1)).float()
        others = logits.clone()
        others[:, label] = -torch.inf
        lead = (others.amax(1) - logits[:, label]).clamp(max=_WON)
        return lead.view(len(images), -1).mean(1), logits.view(len(images), len(hidden), -1)[:, 0].argmax(1)

    return objective


def shows_patch(model: Any, hidden: BoolTensor, placement: Placement) -> BoolTensor:
    """``[mutant]``: whether a mutant shows a pixel of the patch.

    Args:
        model: with windows between ``borders``, or with bands of pixel rows and columns for a vote.
        hidden: ``[mutant, window]``.
        placement: of the patch.
    """
    rows = range(placement.top, placement.top + placement.height)
    columns = range(placement.left, placement.left + placement.width)
    if hasattr(model, "borders"):
        across = len(model.borders[1]) - 1
        under = rectangle(windows_under(model.borders[0], rows), windows_under(model.borders[1], columns), across)
        return (~hidden[:, [window for window in range(hidden.shape[1]) if under >> window & 1]]).any(1)  # type: ignore[return-value]
    height = model.image_px[0]
    bands = [~hidden[:, rows.start : rows.stop], ~hidden[:, height + columns.start : height + columns.stop]]
    return bands[0].any(1) & bands[1].any(1)  # type: ignore[return-value]
