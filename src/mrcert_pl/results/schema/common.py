"""What the results of several commands have in common."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TypeAlias

from mrcert_pl.plain import FieldError, Record, with_derived
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Amount, Count, Document, Fraction, Settings

Patch: TypeAlias = int | str | tuple[int | str, ...]
"""A patch as the configuration gives it: pixels of a square, another shape as text, or several of these."""

_PACKAGES = ("mrcert_pl", "torch", "torchvision", "lightning", "timm", "torchmetrics", "numpy")


@dataclass(frozen=True)
class Accuracy(Record):
    """Fraction of images that have a property.

    Attributes:
        count: Images that have it.
        n: Images in all.
        reported: Published value.
    """

    DERIVED = ("measured",)
    compared = with_derived(*DERIVED)

    count: Count
    n: Count
    reported: Fraction | None = None

    def __post_init__(self) -> None:
        if self.count > self.n:
            raise FieldError("count", f"must be at most n = {self.n}, got {self.count}")

    @property
    def measured(self) -> float | None:
        """``count / n``; ``None`` without images."""
        return self.count / self.n if self.n else None


@dataclass(frozen=True)
class SeedAccuracy(Record):
    """One accuracy over several seeds.

    Attributes:
        mean: Mean over the seeds; ``None`` without images.
        spread: Sample standard deviation; ``None`` for one seed.
        counts: Images that have the property, by seed.
        reported: Published value.
    """

    mean: Fraction | None
    spread: Amount | None
    counts: tuple[Count, ...]
    reported: Fraction | None = None

    @property
    def measured(self) -> float | None:
        """The mean."""
        return self.mean


@dataclass(frozen=True)
class Environment(Record):
    """Where a result was computed.

    Attributes:
        versions: Versions of Python and of packages, by name.
        platform: Operating system and processor architecture.
        device: Number and kind of devices.
        precision: Precision of the arithmetic, as Lightning names it.
    """

    versions: Mapping[str, str]
    platform: str
    device: str
    precision: str

    @classmethod
    def here(cls, device: str, precision: str) -> "Environment":
        """The environment of this process."""
        versions = {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
        return cls(versions, f"{platform.system()} {platform.machine()}", device, precision)


@dataclass(frozen=True)
class MutantFacts(Record):
    """Mutants of a defender, from their ``summary()``.

    Attributes:
        kind: ``unions`` of masks, or the kind of ablations.
        sizes: Numbers of masks, unions, windows and order, or of votes and their widths, by name.
    """

    kind: str
    sizes: Mapping[str, Count]

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> "MutantFacts":
        """The facts of ``mutants.summary()``."""
        return cls(**upgrade.mutants(summary))


@dataclass(frozen=True, kw_only=True)
class RunDocument(Document):
    """Fields of the results of all commands that run a model.

    Attributes:
        dataset, model, patch: Subject of the run, by name.
        checkpoint: File of the weights; ``None`` where stored tables were enough.
        environment: Where it was computed.
        seed: Seed of the run.
        command: Command line.
        config: Configuration, for the reader.
    """

    dataset: str
    model: str
    patch: Patch
    seed: int
    environment: Environment
    checkpoint: str | None = None
    command: str = ""
    config: Settings = field(default_factory=dict)
