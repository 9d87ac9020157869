"""Certified recovery from adversarial patches for Vision Transformers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrcert_pl.guard import Guard

__version__ = "0.1.0"
__all__ = ["Guard", "__version__"]


def __getattr__(name: str) -> Any:
    # The version, and the help of commands, shall not wait for torch.
    if name == "Guard":
        from mrcert_pl.guard import Guard

        return Guard
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
