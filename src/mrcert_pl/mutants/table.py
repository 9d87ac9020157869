"""The prediction table: the label of the base model for every mutant of every image."""

import warnings
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import BoolTensor, Tensor

from mrcert_pl.errors import ConfigurationError

NOT_EVALUATED = -1


@runtime_checkable
class MutantSet(Protocol):
    """The mutants that a defender looks at, each by the windows that it hides; the first one hides nothing."""

    @property
    def windows(self) -> int:
        """Number of windows."""

    @property
    def hidden(self) -> BoolTensor:
        """``[mutant, window]``."""

    def __len__(self) -> int: ...

    def summary(self) -> dict[str, Any]:
        """Plain values that say which mutants they are, for results."""

    def identity(self) -> dict[str, Any]:
        """Plain values that two sets share exactly if the mutants of the smaller one are the first of the larger."""


Mutants = TypeVar("Mutants", bound=MutantSet)


@dataclass(frozen=True)
class PredictionTable(Generic[Mutants]):
    """Labels, and optionally margins, of mutants.

    Args:
        mutants: the mutants that the columns stand for: the unions of masks, or the ablations of a vote.
        labels: integer tensor ``[image, mutant]``; :data:`NOT_EVALUATED` (-1) where nobody has asked yet.
        margins: float tensor ``[image, mutant]``, highest logit less the second highest, or ``None``.

    Raises:
        ConfigurationError: for tensors of another shape or kind.
    """

    mutants: Mutants
    labels: Tensor
    margins: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.shape[1] != len(self.mutants):
            raise ConfigurationError(
                f"labels must be [image, mutant] with {len(self.mutants)} mutants, not {list(self.labels.shape)}"
            )
        if self.labels.is_floating_point() or self.labels.dtype == torch.bool:
            raise ConfigurationError(f"labels must be integers, not {self.labels.dtype}")
        if self.margins is not None and self.margins.shape != self.labels.shape:
            raise ConfigurationError(
                f"margins must have the shape of the labels, {list(self.labels.shape)}, not {list(self.margins.shape)}"
            )

    @classmethod
    def empty(cls, mutants: Mutants, images: int, device: torch.device | str = "cpu") -> "PredictionTable[Mutants]":
        """A table for ``images`` images in which nothing has been evaluated."""
        shape = (images, len(mutants))
        return cls(
            mutants,
            torch.full(shape, NOT_EVALUATED, dtype=torch.int32, device=device),
            torch.full(shape, torch.nan, device=device),
        )

    def rows(self, images: Tensor) -> "PredictionTable[Mutants]":
        """A copy of the rows of some images, by their positions or as a mask."""
        return PredictionTable(
            self.mutants, self.labels[images], None if self.margins is None else self.margins[images]
        )

    @property
    def lattice(self) -> Mutants:
        """Deprecated name of ``mutants``."""
        warnings.warn("PredictionTable.lattice is deprecated; use mutants", DeprecationWarning, stacklevel=2)
        return self.mutants

    @property
    def evaluated(self) -> BoolTensor:
        """``[image, mutant]``: which entries hold a label."""
        return self.labels != NOT_EVALUATED  # type: ignore[return-value]

    def above(self, margin: float) -> BoolTensor:
        """``[image, mutant]``: which entries have a larger margin; all if it is 0 (docs/theory.md, Theorem 6).

        Raises:
            ConfigurationError: for a margin with a table that has none.
        """
        if margin == 0:
            return torch.ones_like(self.labels, dtype=torch.bool)  # type: ignore[return-value]
        if self.margins is None:
            raise ConfigurationError(f"a certificate with margin {margin} needs a table with margins")
        return self.margins > margin  # type: ignore[return-value]


def rounded_down(margins: Tensor) -> Tensor:
    """Margins as the next lower numbers of half precision, in which they are stored; still float32.

    A margin counts inside a certificate if it is large enough (docs/theory.md, Theorem 6), so it may be written down
    as less than it is, and never as more.
    """
    near = margins.clamp(max=torch.finfo(torch.float16).max).half()
    # Of positive numbers the one before has the pattern of bits before.
    below = (near.view(torch.int16) - 1).view(torch.float16)
    return torch.where(near.float() > margins, below, near).float()
