"""Masks and ablations for training: which windows each image of a batch has to do without."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import MutantSet


@runtime_checkable
class WindowSampler(Protocol):
    """Draws the windows that training hides."""

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Tensor:
        """``[image, window]``: hidden windows, drawn from torch's global generator."""


class MaskSampler:
    """Draws for every image an order, then that many masks (with replacement), and hides their union.

    Args:
        masks: the covering mask set that the defender will use.
        windows: number of windows of the grid.
        orders: how many masks may be drawn, each number equally often; 0 shows the whole image.
        per_batch: one draw for the whole batch (PatchCURE's and MRCert's published code) instead of one per image.
    """

    def __init__(self, masks: Sequence[int], windows: int, orders: Sequence[int], per_batch: bool = False) -> None:
        if not orders or min(orders) < 0:
            raise ConfigurationError(f"the orders of training masks must be numbers from 0, not {list(orders)}")
        single = UnionLattice(masks, windows, order=1)
        self._hidden = single.hidden[1:]
        self._orders = torch.tensor(sorted(set(orders)))
        self._per_batch = per_batch

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Tensor:
        """``[image, window]``: hidden windows, drawn from torch's global generator."""
        draws = 1 if self._per_batch else images
        orders = self._orders[torch.randint(len(self._orders), (draws,))]
        most = int(self._orders[-1])
        drawn = self._hidden[torch.randint(len(self._hidden), (draws, most))]
        used = torch.arange(most) < orders[:, None]
        return (drawn & used[:, :, None]).any(1).expand(images, -1).to(device)


class AblationSampler:
    """Draws for every image one of the ablations of a vote, each equally often.

    Args:
        ablations: the mutants of the vote; the first one hides nothing and is never drawn.
        per_batch: one draw for the whole batch (CrossCert's published code) instead of one per image.
    """

    def __init__(self, ablations: MutantSet, per_batch: bool = False) -> None:
        self._hidden = ablations.hidden[1:]
        self._per_batch = per_batch

    def __call__(self, images: int, device: torch.device | str = "cpu") -> Tensor:
        """``[image, band]``: hidden bands, drawn from torch's global generator."""
        drawn = self._hidden[torch.randint(len(self._hidden), (1 if self._per_batch else images,))]
        return drawn.expand(images, -1).to(device)
