"""Peak speed of a machine, and time and memory of work on it."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import torch

from mrcert_pl.mutants.stopwatch import timed

Result = TypeVar("Result")

# Sides of the square matrices whose product is timed: the peak is that of the fastest.
_SIDES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192)}
_PRODUCTS = 3


class Machine:
    """A device and the precision of its arithmetic.

    Args:
        device: Device.
        precision: Lightning's name; anything with ``bf16`` is bfloat16 by autocast, else float32.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        self.device = device
        self._peak_is_known = True
        self.dtype = torch.bfloat16 if "bf16" in precision else torch.float32

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context in which models compute in this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def timed(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Return the seconds until the device has finished some work, and its result."""
        return timed(work, self.device)

    @cached_property
    def peak_flops(self) -> float:
        """Floating point operations per second of the fastest of a few large matrix products, measured once."""
        best = 0.0
        for side in _SIDES[self.device.type]:
            a, b = torch.randn(2, side, side, device=self.device, dtype=self.dtype)
            torch.mm(a, b)
            for _ in range(_PRODUCTS):
                seconds, _ = self.timed(partial(torch.mm, a, b))
                best = max(best, 2 * side**3 / seconds)
        return best

    def forget_peak_memory(self) -> None:
        """Reset the peak of the memory."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self._peak_is_known = False

    def peak_mib(self) -> float:
        """Return the peak since then in MiB: of tensors on a GPU, else of the process; NaN if it is not known."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        if not self._peak_is_known:
            return math.nan
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 2**10
        return math.nan
