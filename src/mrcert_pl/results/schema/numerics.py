"""Result of an audit of rounding."""

from collections.abc import Mapping
from dataclasses import dataclass

from mrcert_pl.plain import Record
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Amount, Count
from mrcert_pl.results.schema.common import RunDocument


@dataclass(frozen=True)
class LogitDifference(Record):
    """One method to compute logits, against computing every mutant alone.

    Attributes:
        method: Difference of the computation.
        precision: Precision of the arithmetic.
        delta: Largest difference of a logit.
        flips: Mutants with another label.
        mutants: Mutants compared.
    """

    method: str
    precision: str
    delta: Amount
    flips: Count
    mutants: Count


@dataclass(frozen=True)
class NumericsResult(RunDocument):
    """``numerics.json``: how far logits move between methods of computation.

    Attributes:
        weights_sha256: Digest of the weights.
        images: Number of images.
        mutants: Number of mutants compared.
        spreads: The methods.
        delta: Largest difference between any two methods, by precision (docs/theory.md, Theorem 6).
        margin: Margin that no such difference exceeds, by precision.
    """

    KIND = "numerics"
    COMMAND = "mrcert audit numerics"

    weights_sha256: str
    images: Count
    mutants: Count
    spreads: tuple[LogitDifference, ...]
    delta: Mapping[str, Amount]
    margin: Mapping[str, Amount]

    upgrade = staticmethod(upgrade.numerics)
