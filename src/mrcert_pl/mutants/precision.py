"""IEEE float32 for labels, independent of the settings of the host process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Disable TF32 in float32 products and convolutions: its ten bits change labels with small margins.

    PyTorch has two interfaces for this setting. Early versions have the older one only; it can be neither read nor
    restored if the newer one, ``fp32_precision``, has a conflicting value.
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
    # The older interface sets convolutions and recurrent networks together.
    return [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]


def _older() -> tuple[str, bool] | None:
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None


def _choose(matmul: str, tf32: bool) -> None:
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = tf32
