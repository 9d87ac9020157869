"""The arithmetic of labels, whatever the rest of the process has chosen."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep TF32 out of products and convolutions in float32: its ten bits would change labels that are nearly tied."""
    chosen = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(chosen[0])
        torch.backends.cudnn.allow_tf32 = chosen[1]
