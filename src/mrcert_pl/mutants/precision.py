"""The arithmetic of labels, whatever the rest of the process has chosen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep TF32 out of products and convolutions in float32: its ten bits would change labels that are nearly tied.

    A process chooses by one of two interfaces of PyTorch: earlier versions have the older one alone, and it can't be
    read, nor given back, where the newer one, ``fp32_precision``, has chosen otherwise.
    """
    newer = _newer()
    chosen, older = [part.fp32_precision for part in newer], _older()
    if older is not None:
        _choose("highest", tf32=False)
    for part in newer:
        part.fp32_precision = "ieee"
    try:
        yield
    finally:
        if older is not None:
            _choose(*older)
        for part, precision in zip(newer, chosen, strict=True):
            part.fp32_precision = precision


def _newer() -> list[Any]:
    cudnn: Any = torch.backends.cudnn
    if not hasattr(getattr(cudnn, "conv", None), "fp32_precision"):
        return []
    # The older interface sets recurrent networks with convolutions.
    return [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]


def _older() -> tuple[str, bool] | None:
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None


def _choose(matmul: str, tf32: bool) -> None:
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = tf32
