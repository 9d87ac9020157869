"""Stochastic depth on a model that is already built."""

from collections.abc import Iterable

import torch
from timm.layers import DropPath
from torch import nn

from mrcert_pl.errors import ConfigurationError


def set_drop_path(blocks: Iterable[nn.Module], rate: float) -> None:
    """Give timm blocks drop path rates that rise linearly from 0 to ``rate`` over their depth.

    Drop path has no weights and belongs to the training: checkpoints do not store it.

    Args:
        blocks: Blocks from the first to the last, SRF and LRF together.
        rate: Rate of the last block.

    Raises:
        ConfigurationError: For a rate out of range.
    """
    if not 0 <= rate < 1:
        raise ConfigurationError(f"a drop path rate must be from 0 to below 1, got {rate}")
    blocks = list(blocks)
    for block, r in zip(blocks, torch.linspace(0, rate, len(blocks)).tolist(), strict=True):
        for name in ("drop_path1", "drop_path2"):
            setattr(block, name, (DropPath(r) if r else nn.Identity()).train(block.training))
