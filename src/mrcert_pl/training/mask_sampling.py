"""Samplers of training masks and ablations: the windows that each image of a batch hides."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import MutantSet

DRAWS = ("masks", "distinct")


@runtime_checkable
class WindowSampler(Protocol):
    """Draw the windows that training hides."""

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Bool[Tensor, "image window"]:
        """Draw hidden windows from torch's global generator."""
        ...


class MaskSampler:
    """Draw one union of masks for every image.

    Args:
        masks: Covering mask set of the defender, as bitsets.
        windows: Number of windows of the grid.
        orders: Numbers of masks that may be hidden; 0 hides nothing.
        per_batch: One draw for the whole batch (PatchCURE's and MRCert's published code) instead of one per image.
        draws: ``masks``: an order, uniform over ``orders``, then that many masks with replacement. ``distinct``:
            uniform over the distinct unions whose order (least number of masks that make them) is among ``orders``.
        heaviest: Fraction of draws that are replaced by a uniform draw from the distinct unions of the largest order.
            With replacement four masks coincide or overlap so often that few draws hide as much as the certificates
            need.

    Raises:
        ConfigurationError: For unknown draws, orders or a fraction out of range, or orders without a union.
    """

    def __init__(
        self,
        masks: Sequence[int],
        windows: int,
        orders: Sequence[int],
        per_batch: bool = False,
        draws: str = "masks",
        heaviest: float = 0.0,
    ) -> None:
        if not orders or min(orders) < 0:
            raise ConfigurationError(f"the orders of training masks must be numbers from 0, got {list(orders)}")
        if draws not in DRAWS:
            raise unknown("draws of training masks", draws, DRAWS)
        if not 0 <= heaviest <= 1:
            raise ConfigurationError(f"the heaviest fraction of training masks must be from 0 to 1, got {heaviest}")
        self._masks = UnionLattice(masks, windows, order=1).hidden[1:]
        self._orders = torch.tensor(sorted(set(orders)))
        self._per_batch = per_batch
        self._distinct: Bool[Tensor, "union window"] | None = None
        self._heaviest = heaviest
        if draws == "distinct" or heaviest:
            lattice = UnionLattice(masks, windows, max(orders))
            self._heavy = lattice.hidden[lattice.orders == max(orders)]
            if not len(self._heavy):
                raise ConfigurationError(f"no union of {len(lattice.masks)} masks needs {max(orders)} of them")
            if draws == "distinct":
                self._distinct = lattice.hidden[torch.isin(lattice.orders, self._orders)]

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Bool[Tensor, "image window"]:
        """Draw hidden windows from torch's global generator."""
        draws = 1 if self._per_batch else images
        hidden = self._unions_of_masks(draws) if self._distinct is None else _rows(self._distinct, draws)
        if self._heaviest:
            heavy = torch.rand(draws, 1) < self._heaviest
            hidden = torch.where(heavy, _rows(self._heavy, draws), hidden)
        return hidden.expand(images, -1).to(device)

    def _unions_of_masks(self, draws: int) -> Bool[Tensor, "draw window"]:
        orders: Int[Tensor, draw] = self._orders[torch.randint(len(self._orders), (draws,))]
        most = int(self._orders[-1])
        drawn = self._masks[torch.randint(len(self._masks), (draws, most))]
        used = torch.arange(most) < orders[:, None]
        return (drawn & used[:, :, None]).any(1)


def fewest_to_hide_all(masks: Sequence[int], windows: int, most: int) -> int | None:
    """Return the least number of masks that together hide every window; ``None`` if ``most`` of them cannot.

    Some mask must hide the first visible window, so only those are tried; a branch ends where even the largest masks
    would be too few.

    Args:
        masks: masks as bitsets.
        windows: number of windows of the grid.
        most: largest number of masks.
    """
    largest = max(mask.bit_count() for mask in masks)

    def hide(visible: int, left: int) -> bool:
        if visible.bit_count() > left * largest:
            return False
        first = visible & -visible
        return not visible or any(hide(visible & ~mask, left - 1) for mask in masks if mask & first)

    return next((number for number in range(most + 1) if hide((1 << windows) - 1, number)), None)


class MixedSampler:
    """Draw from one of several samplers for every image, all equally often.

    Args:
        samplers: Samplers for the same windows.
        per_batch: One of them for the whole batch instead of one per image.
    """

    def __init__(self, samplers: Sequence[WindowSampler], per_batch: bool = False) -> None:
        self._samplers = tuple(samplers)
        self._per_batch = per_batch

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Bool[Tensor, "image window"]:
        """Draw hidden windows from torch's global generator."""
        chosen = torch.randint(len(self._samplers), (1 if self._per_batch else images,)).expand(images)
        drawn = torch.stack([sampler(images) for sampler in self._samplers])
        return drawn[chosen, torch.arange(images)].to(device)


class AblationSampler:
    """Draw one ablation of a vote for every image, uniformly.

    Args:
        ablations: Mutants of the vote; the first one hides nothing and is never drawn.
        per_batch: One draw for the whole batch (CrossCert's published code) instead of one per image.
    """

    def __init__(self, ablations: MutantSet, per_batch: bool = False) -> None:
        self._hidden = ablations.hidden[1:]
        self._per_batch = per_batch

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Bool[Tensor, "image band"]:
        """Draw hidden bands from torch's global generator."""
        return _rows(self._hidden, 1 if self._per_batch else images).expand(images, -1).to(device)


def _rows(candidates: Bool[Tensor, "union window"], draws: int) -> Bool[Tensor, "draw window"]:
    return candidates[torch.randint(len(candidates), (draws,))]
