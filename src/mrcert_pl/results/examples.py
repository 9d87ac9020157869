"""Images worth a look: verdicts of an evaluation, and images before and after an attack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mrcert_pl.geometry import PatchSpec, location_maps
from mrcert_pl.geometry.covering import Borders
from mrcert_pl.results.kinds import choose
from mrcert_pl.results.schema import VerdictRow

ImageSource = Callable[[int], np.ndarray]
"""From the id of an image to ``[height, width, 3]`` in [0, 1]."""


class MaskedMutants(Protocol):
    """Mutants that hide windows under masks (``geometry.UnionLattice``)."""

    @property
    def hidden(self) -> Tensor: ...

    @property
    def masks(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Example:
    """A verdict with its image.

    Attributes:
        row: The verdict.
        image: ``[height, width, 3]`` in [0, 1].
        hidden: Bool ``[height, width]``, pixels that the witness or the mutant of an alert hides; ``None`` without.
        maps: For each shape of the patch bool ``[top, left]``, true where it cannot change the label.
    """

    row: VerdictRow
    image: np.ndarray
    hidden: np.ndarray | None = None
    maps: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class AttackExample:
    """An image before and after an attack.

    Attributes:
        image_id: Id of the image.
        label: True label.
        before_label, after_label: Labels by the base model.
        success: Whether the base model misclassifies the attacked image.
        loss: Final loss of the attack.
        before, after: ``[height, width, 3]`` in [0, 1].
        patch: Bool ``[height, width]``, pixels of the patch on ``after``.
    """

    image_id: int
    label: int
    before_label: int
    after_label: int
    success: bool
    loss: float
    before: np.ndarray
    after: np.ndarray
    patch: np.ndarray


@dataclass(frozen=True)
class DefenceExample:
    """A verdict on an attacked image.

    Attributes:
        example: The verdict and the image that the model saw.
        attacked: Attacked image in the size of the attack, ``[height, width, 3]`` in [0, 1].
        patch: Bool ``[height, width]``, pixels of the patch on it.
        original: Image before the attack; ``None`` where it is not available.
    """

    example: Example
    attacked: np.ndarray
    patch: np.ndarray
    original: np.ndarray | None = None


def verdict_examples(
    rows: Sequence[VerdictRow],
    wanted: int | Sequence[int],
    image_of: ImageSource,
    borders: Borders | None = None,
    mutants: MaskedMutants | None = None,
    patch: PatchSpec | None = None,
) -> list[Example]:
    """Choose verdicts as :func:`choose` and add their images, witnesses and maps.

    Args:
        rows: Verdicts.
        wanted: Number of examples, or ids.
        image_of: Source of the images.
        borders: Borders of the windows in px; without them (votes) there are neither witnesses nor maps.
        mutants: Mutants of the defender.
        patch: The patch.

    Raises:
        ResultsError: If there is no row of an id.
    """
    return [_example(row, image_of(row.id), borders, mutants, patch) for row in choose(rows, wanted)]


def pixels_of(image: Tensor) -> np.ndarray:
    """Return a tensor ``[3, height, width]`` as ``[height, width, 3]`` in [0, 1]."""
    return image.detach().cpu().float().clamp(0, 1).permute(1, 2, 0).numpy()


def patch_pixels(placement: Mapping[str, int], image_px: Sequence[int]) -> np.ndarray:
    """Return the pixels of a placement (``top``, ``left``, ``height``, ``width``) as bool ``[height, width]``."""
    pixels = np.zeros(tuple(image_px), dtype=bool)
    top, left = placement["top"], placement["left"]
    pixels[top : top + placement["height"], left : left + placement["width"]] = True
    return pixels


def _example(
    row: VerdictRow,
    image: np.ndarray,
    borders: Borders | None,
    mutants: MaskedMutants | None,
    patch: PatchSpec | None,
) -> Example:
    if borders is None or mutants is None:
        return Example(row, image)
    mutant = row.alert if row.alert is not None and row.alerted else row.witness
    hidden = None if mutant < 0 else _pixels(mutants.hidden[mutant].cpu().numpy(), borders)
    if row.safe_masks is None or patch is None:
        return Example(row, image, hidden)
    safe: Any = torch.tensor([row.safe_masks])
    maps = location_maps(safe, mutants.masks, borders, patch)
    return Example(row, image, hidden, tuple(safe_at[0].numpy() for safe_at in maps))


def _pixels(hidden: np.ndarray, borders: Borders) -> np.ndarray:
    """The pixels of hidden windows, bool ``[height, width]``."""
    rows, columns = (np.diff(along) for along in borders)
    return hidden.reshape(len(rows), len(columns)).repeat(rows, 0).repeat(columns, 1)
