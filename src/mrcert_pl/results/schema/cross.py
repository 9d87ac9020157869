"""Result of two evaluations that check each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from mrcert_pl.results.codec import Count, Document
from mrcert_pl.results.schema.common import Accuracy, Patch


@dataclass(frozen=True)
class CrossResult(Document):
    """Two defenders that check each other (CrossCert), as ``mrcert cross`` writes it.

    Attributes:
        runs: Folders of the two evaluations.
        defenders: Their defenders; the label is that of the first.
        dataset, patch: Data set and patch of both.
        n: Number of images.
        accuracy: ``clean``, ``certified_detection``, ``unwavering``, ``certified_ratio`` and ``alerts``; on an attacked
            set ``harmful_alerts`` too.
    """

    KIND = "cross"
    VERSION = 2
    COMMAND = "mrcert cross"

    runs: tuple[str, str]
    defenders: tuple[str, str]
    dataset: str
    patch: Patch
    n: Count
    accuracy: Mapping[str, Accuracy]
