"""The prediction table: the label of the base model for every mutant of every image."""

import warnings
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, differences

NOT_EVALUATED = -1


@runtime_checkable
class MutantSet(Protocol):
    """The mutants that a defender needs; the first one hides nothing."""

    @property
    def windows(self) -> int:
        """Number of windows."""

    @property
    def hidden(self) -> Bool[Tensor, "mutant window"]:
        """Hidden windows of each mutant."""

    def __len__(self) -> int: ...

    def summary(self) -> dict[str, Any]:
        """Plain values for results."""

    def identity(self) -> dict[str, Any]:
        """Plain values that two sets share if and only if the smaller one is a prefix of the larger."""


Mutants = TypeVar("Mutants", bound=MutantSet)


@dataclass(frozen=True)
class PredictionTable(Generic[Mutants]):
    """Labels, and optionally margins and confidences, of mutants.

    Args:
        mutants: mutants of the columns: unions of masks, or ablations.
        labels: labels of the base model, integers ``[image, mutant]``; :data:`NOT_EVALUATED` (-1) for missing entries.
        margins: top-two logit margins ``[image, mutant]``, or ``None``.
        log_odds: log-odds of the confidences ``[image, mutant]`` (:func:`mrcert_pl.mutants.confidence.log_odds`), or
            ``None``; NaN where unknown. Rules read them with :meth:`confidences`.

    Raises:
        ConfigurationError: for tensors of another shape or dtype.
    """

    mutants: Mutants
    labels: Tensor
    margins: Tensor | None = None
    log_odds: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.shape[1] != len(self.mutants):
            raise ConfigurationError(
                f"labels must be [image, mutant] with {len(self.mutants)} mutants, not {list(self.labels.shape)}"
            )
        if self.labels.is_floating_point() or self.labels.dtype == torch.bool:
            raise ConfigurationError(f"labels must be integers, not {self.labels.dtype}")
        for name, values in (("margins", self.margins), ("log_odds", self.log_odds)):
            if values is not None and values.shape != self.labels.shape:
                raise ConfigurationError(
                    f"{name} must have the shape of the labels, {list(self.labels.shape)}, not {list(values.shape)}"
                )

    @classmethod
    def empty(cls, mutants: Mutants, images: int, device: torch.device | str = "cpu") -> "PredictionTable[Mutants]":
        """Return a table for a number of images in which all entries are missing."""
        shape = (images, len(mutants))
        return cls(
            mutants,
            torch.full(shape, NOT_EVALUATED, dtype=torch.int32, device=device),
            torch.full(shape, torch.nan, device=device),
            torch.full(shape, torch.nan, device=device),
        )

    def rows(self, images: Int[Tensor, " row"] | Bool[Tensor, " image"]) -> "PredictionTable[Mutants]":
        """Return a copy of the rows of some images, by their positions or as a mask."""
        margins, log_odds = (None if part is None else part[images] for part in (self.margins, self.log_odds))
        return PredictionTable(self.mutants, self.labels[images], margins, log_odds)

    @property
    def lattice(self) -> Mutants:
        """Deprecated name of ``mutants``."""
        warnings.warn("PredictionTable.lattice is deprecated; use mutants", DeprecationWarning, stacklevel=2)
        return self.mutants

    @property
    def evaluated(self) -> Bool[Tensor, "image mutant"]:
        """Whether each entry has a label."""
        return self.labels != NOT_EVALUATED

    def above(self, margin: float) -> Bool[Tensor, "image mutant"]:
        """Whether each entry has a larger margin; true for all if ``margin`` is 0 (docs/theory.md, Theorem 6).

        Raises:
            ConfigurationError: for a positive margin with a table without margins.
        """
        if margin == 0:
            return torch.ones_like(self.labels, dtype=torch.bool)
        if self.margins is None:
            raise ConfigurationError(f"a certificate with margin {margin} needs a table with margins")
        # PyTorch would round the margin to the precision of the tensor.
        return self.margins.double() > margin

    def confidences(self, reader: str, columns: Int[Tensor, " column"] | None = None) -> Float[Tensor, "image column"]:
        """Return the log-odds of the confidences in float64, NaN for missing entries alone.

        Args:
            reader: what compares them, for the error message.
            columns: columns to read; default: all.

        Raises:
            ConfigurationError: for an evaluated entry without a confidence, since no comparison with NaN holds.
        """
        labels = self.labels if columns is None else self.labels[:, columns]
        if self.log_odds is None:
            log_odds = torch.full(labels.shape, torch.nan, dtype=torch.float64, device=labels.device)
        else:
            log_odds = (self.log_odds if columns is None else self.log_odds[:, columns]).double()
        if unknown := int((log_odds.isnan() & (labels != NOT_EVALUATED)).sum()):
            raise ConfigurationError(
                f"{reader} needs confidences, and {unknown} labels of the table have none: they were stored by an "
                "earlier version; evaluate again with another folder as store="
            )
        return log_odds


def check_mutants(table: PredictionTable[Any], mutants: MutantSet) -> None:
    """Check that the columns of a table are mutants of a set, or the first of them.

    Raises:
        ConfigurationError: for other mutants, with what differs, or for more of them.
    """
    if table.mutants is mutants:
        return
    if found := differences(table.mutants.identity(), mutants.identity(), "in the table"):
        raise ConfigurationError("the table has other mutants than those needed here:\n  " + "\n  ".join(found))
    if len(table.mutants) > len(mutants):
        raise ConfigurationError(f"the table has {len(table.mutants)} mutants, and there are {len(mutants)} here")


def rounded_down(margins: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Round margins of any precision down to half precision, in which they are stored; the result is float32.

    A certificate needs large margins (docs/theory.md, Theorem 6), so a stored margin may be smaller than the true one,
    never larger.
    """
    near = margins.clamp(max=torch.finfo(torch.float16).max).half()
    # For positive floats, decrementing the bit pattern gives the next smaller value.
    below = (near.view(torch.int16) - 1).view(torch.float16)
    return torch.where(near.float() > margins, below, near).float()
