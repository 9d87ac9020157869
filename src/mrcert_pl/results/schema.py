"""What commands leave: typed results and their JSON. The only place that knows the names of their fields."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from mrcert_pl.plain import FieldError, Record, with_derived
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Amount, Count, Document, Fraction, Settings

Patch: TypeAlias = int | str | tuple[int | str, ...]
"""A patch as the configuration gives it: pixels of a square, another shape as text, or several of these."""

ADVERSARIAL = "adversarial_certified"
OF_HARMFUL = (ADVERSARIAL, "harmful_alerts")
"""Accuracies of attacked images, relative to those that the base model misclassifies."""

ANY_LABEL = -2
"""In ``detects``: every patched version raises an alert, so the certificate holds for any label."""

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
    """Which mutants a defender looks at, from their ``summary()``.

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


@dataclass(frozen=True)
class VerdictRow(Record):
    """The verdict on one image, as ``verdicts.parquet`` holds it.

    Attributes:
        id: Id of the image in its data set.
        path: Path of the image below the folder of its data set.
        label: True label.
        base_prediction: Label by the base model.
        prediction: Label by the defender.
        case: Step of the rule that gave the label, from 1.
        witness: Mutant whose label was taken, -1 without one.
        certified: Whether no patch can change the label.
        round_trip: Whether, in addition, every patched version is certified.
        certified_patches: Largest number of patches that cannot change the label; -1 without a witness.
        level: Number of patches that the deciding rule is built for, 0 for a fallback.
        safe_masks: For each mask whether a patch under it leaves the label.
        certified_fraction: Fraction of the patch placements that leave the label.
        mutants_evaluated: Number of mutants evaluated.
        gflops: Floating-point operations in 10^9.
        alert: First mutant that raises the alert of a detector, -1 if none does; ``None`` for other defenders.
        detects: Label that a detector is certified for, -1 for none, -2 for any.
    """

    id: Count
    path: str
    label: Count
    base_prediction: Annotated[int, Field(ge=-1)]
    prediction: Count
    case: Annotated[int, Field(ge=1)]
    witness: Annotated[int, Field(ge=-1)]
    certified: bool
    round_trip: bool
    certified_patches: Annotated[int, Field(ge=-1)] | None = None
    level: Count | None = None
    safe_masks: tuple[bool, ...] | None = None
    certified_fraction: Fraction | None = None
    mutants_evaluated: Count = 0
    gflops: Amount | None = None
    alert: Annotated[int, Field(ge=-1)] | None = None
    detects: Annotated[int, Field(ge=-2)] | None = None

    @property
    def base_correct(self) -> bool:
        """Whether the base model classifies the image correctly."""
        return self.base_prediction == self.label

    @property
    def correct(self) -> bool:
        """Whether the defender classifies the image correctly."""
        return self.prediction == self.label

    @property
    def correct_and_certified(self) -> bool:
        """Whether the image counts for certified accuracy."""
        return self.correct and self.certified

    @property
    def detection_certified(self) -> bool:
        """Whether every patched version has the true label or an alert, by a detector."""
        return self.detects in (self.label, ANY_LABEL)

    @property
    def alerted(self) -> bool:
        """Whether a detector raises an alert."""
        return self.alert is not None and self.alert >= 0

    @property
    def correct_and_round_trip(self) -> bool:
        """Whether the image counts for round-trip certified accuracy."""
        return self.correct and self.round_trip


@dataclass(frozen=True, kw_only=True)
class RunDocument(Document):
    """What the results of all commands that run a model state.

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


@dataclass(frozen=True)
class EvaluationResult(RunDocument):
    """``results.json`` of an evaluation.

    Attributes:
        weights_sha256: Digest of the weights.
        defender: Name of the defender.
        defender_settings: Settings of the defender.
        round_trip_note: Why the defender certifies no round trip; ``None`` if it does.
        n: Number of images.
        accuracy: Accuracies by name.
        mutants: Mutants of the defender.
        mutants_per_image: Mean number of evaluated mutants.
        gflops_per_image: Mean operations in 10^9; ``None`` where the model does not count them.
        table: Folder of the stored tables.
        margin: Margin of the certificates.
        delta: Largest difference of logits by precision that the margin was chosen by.
        seconds: Duration in seconds.
    """

    KIND = "evaluation"
    COMMAND = "mrcert eval"

    weights_sha256: str
    defender: str
    n: Count
    accuracy: Mapping[str, Accuracy]
    mutants_per_image: Amount
    defender_settings: Settings = field(default_factory=dict)
    round_trip_note: str | None = None
    mutants: MutantFacts | None = None
    gflops_per_image: Amount | None = None
    table: str | None = None
    margin: Amount | None = None
    delta: Mapping[str, Amount] | None = None
    seconds: Amount | None = None

    def __post_init__(self) -> None:
        for name, accuracy in self.accuracy.items():
            if accuracy.n > self.n or (accuracy.n < self.n and name not in OF_HARMFUL):
                raise FieldError(f"accuracy.{name}.n", f"must be n = {self.n}, got {accuracy.n}")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed alone."""
        return (self.seed,)

    upgrade = staticmethod(upgrade.evaluation)


@dataclass(frozen=True)
class AttackResult(RunDocument):
    """``results.json`` of an attack on the base model.

    Attributes:
        weights_sha256: Digest of the weights.
        attack: Name of the attack.
        attack_settings: Settings of the attack.
        n: Number of images.
        before, after: Accuracy of the base model without and with the patch.
        successes: Images on which the attack reached its goal.
        attacked: Folder of the attacked set.
    """

    KIND = "attack"
    COMMAND = "mrcert attack"

    weights_sha256: str
    attack: str
    n: Count
    before: Accuracy
    after: Accuracy
    successes: Count
    attacked: str
    attack_settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.successes > self.n:
            raise FieldError("successes", f"must be at most n = {self.n}, got {self.successes}")

    upgrade = staticmethod(upgrade.attack)


@dataclass(frozen=True)
class AttackTally(Record):
    """One kind of patch in an audit of certificates.

    Attributes:
        name: What made the patches.
        tried: Number of patched images.
        labels_broken: Patched images with another label than the certified one, and no alert.
        certificates_broken: Patched images that the round trip promised a certificate for and that have none.
        detected: Patched images with another label than the certified one, and an alert; ``None`` for defenders that
            raise none.
    """

    name: str
    tried: Count
    labels_broken: Count | None = None
    certificates_broken: Count | None = None
    detected: Count | None = None


@dataclass(frozen=True)
class CertificateAuditResult(RunDocument):
    """``certificates.json``: attacks on certified images.

    Attributes:
        weights_sha256: Digest of the weights.
        defender: Name of the defender.
        images: Images examined.
        certified, round_trip: Those certified, for a detector detection-certified, and round-trip certified.
        placements: Number of patch placements per image.
        attacks: What was tried and what broke, by kind of patch.
        labels_broken, certificates_broken: Sums over the attacks.
        breaks: Files of the breaks.
        seconds: Duration of the attacks.
        mutants_evaluated: Number of mutants evaluated.
    """

    KIND = "certificate_audit"
    COMMAND = "mrcert audit certificates"

    weights_sha256: str
    defender: str
    images: Count
    certified: Count
    round_trip: Count
    placements: Count
    attacks: tuple[AttackTally, ...]
    labels_broken: Count
    certificates_broken: Count
    breaks: tuple[str, ...] = ()
    seconds: Amount | None = None
    mutants_evaluated: Count | None = None

    def __post_init__(self) -> None:
        if not self.round_trip <= self.certified <= self.images:
            raise FieldError("certified", "must lie between round_trip and images")

    @property
    def tried(self) -> int:
        """Number of patched images of all attacks."""
        return sum(attack.tried for attack in self.attacks)

    @property
    def detected(self) -> int:
        """Number of patched images of another label that raised an alert."""
        return sum(attack.detected or 0 for attack in self.attacks)

    @property
    def of_detector(self) -> bool:
        """Whether the certificates allow an alert in place of the label."""
        return any(attack.detected is not None for attack in self.attacks)

    upgrade = staticmethod(upgrade.certificate_audit)


@dataclass(frozen=True)
class CrossResult(Document):
    """Two defenders that check each other (CrossCert), as ``mrcert cross`` writes it.

    Attributes:
        runs: Folders of the two evaluations.
        defenders: Their defenders; the label is that of the first.
        dataset, patch: What both are about.
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


@dataclass(frozen=True)
class LogitDifference(Record):
    """One method to compute logits, against computing every mutant alone.

    Attributes:
        method: What was computed differently.
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


@dataclass(frozen=True)
class ThresholdRow(Record):
    """What a defender certifies with one threshold.

    Attributes:
        threshold: The threshold.
        accuracy: Accuracies by name.
        mutants_per_image: Mean number of mutants that this threshold asks for.
    """

    threshold: Fraction
    accuracy: Mapping[str, Accuracy]
    mutants_per_image: Amount


@dataclass(frozen=True)
class ThresholdResult(RunDocument):
    """``thresholds.json``: thresholds of a defender, compared on validation images.

    Attributes:
        weights_sha256: Digest of the weights.
        defender: Name of the defender.
        n: Number of images.
        rows: The thresholds.
    """

    KIND = "thresholds"
    COMMAND = "mrcert thresholds"

    weights_sha256: str
    defender: str
    n: Count
    rows: tuple[ThresholdRow, ...]

    @property
    def best(self) -> ThresholdRow | None:
        """The row with most round trips, of these with most certified images, of these with fewest mutants.

        ``None`` for a detector, whose thresholds trade certificates against alerts.
        """
        if any("certified" not in row.accuracy for row in self.rows):
            return None
        return max(
            self.rows,
            key=lambda row: (row.accuracy["round_trip"].count, row.accuracy["certified"].count, -row.mutants_per_image),
        )


@dataclass(frozen=True)
class BenchmarkRow(Record):
    """One method of a benchmark; medians per image.

    Attributes:
        part: Part of the benchmark.
        method: What was timed.
        mutants: Number of mutants, or of masked sequences.
        gflops: Operations of matrix products in 10^9.
        seconds: Duration in seconds.
        faster: Speed relative to the reference, the first method of the part.
        of_peak: Fraction of the device's fastest matrix product.
        peak_mib: Largest memory in MiB; ``None`` where it is not counted.
        sample: Number of timed forward passes that the work was scaled from; ``None`` if all of it was done.
    """

    part: str
    method: str
    mutants: Amount
    gflops: Amount
    seconds: Amount
    faster: Amount
    of_peak: Amount
    peak_mib: Amount | None = None
    sample: Count | None = None


@dataclass(frozen=True)
class BenchmarkResult(Document):
    """``bench.json``.

    Attributes:
        model, patch: What was timed, by name.
        images: Number of images.
        rows: The methods.
        mutants: Mutants that were labelled.
        train_batch: Batch size of the gradients; ``None`` without that part.
        peak_gflops: Speed of the device's fastest matrix product in 10^9 per second.
        threads: Number of CPU threads.
        environment, command, config: As in :class:`EvaluationResult`.
    """

    KIND = "benchmark"
    COMMAND = "python -m benchmarks.labelling"

    model: str
    patch: Patch
    images: Count
    rows: tuple[BenchmarkRow, ...]
    peak_gflops: Amount
    threads: Count
    environment: Environment
    mutants: MutantFacts | None = None
    train_batch: Count | None = None
    command: str = ""
    config: Settings = field(default_factory=dict)

    upgrade = staticmethod(upgrade.benchmark)


@dataclass(frozen=True)
class TrainingResult(RunDocument):
    """``training.json``.

    Attributes:
        stage: Stage of the recipe.
        checkpoint: File of the best weights; ``None`` if none was kept.
        monitor: Metric that the checkpoint was chosen by.
        best_score: Its value.
        published: File that the checkpoint was copied to.
        replaced: Whether it replaced an earlier one there.
        weights_sha256: Digest of the best weights.
        seconds: Duration in seconds.
    """

    KIND = "training"
    COMMAND = "mrcert train"

    stage: str = "one"
    monitor: str | None = None
    best_score: float | None = None
    published: str | None = None
    replaced: bool = False
    weights_sha256: str | None = None
    seconds: Amount | None = None


@dataclass(frozen=True)
class Difference(Record):
    """A value of a result that its tables contradict.

    Attributes:
        image_id: Id of the image; ``None`` for a count of ``results.json``.
        field: Name of the value.
        written: Value that the run wrote.
        computed: Value that follows from the tables.
    """

    image_id: Count | None
    field: str
    written: Any
    computed: Any


@dataclass(frozen=True)
class VerificationReport(Document):
    """What a second implementation says of the verdicts of an evaluation.

    Attributes:
        run: Folder of the evaluation.
        defender: Name of its defender.
        images: Images whose verdicts were computed again.
        completed: Images whose tables lack entries, which were completed in several ways.
        differences: Values that the tables contradict.
        skipped: Why nothing was computed again; ``None`` if it was.
    """

    KIND = "verification"
    COMMAND = "mrcert verify"

    run: str
    defender: str
    images: Count
    completed: Count = 0
    differences: tuple[Difference, ...] = ()
    skipped: str | None = None


RUN_DOCUMENTS: Mapping[str, type[RunDocument]] = {
    document.KIND: document
    for document in (
        AttackResult,
        CertificateAuditResult,
        EvaluationResult,
        NumericsResult,
        ThresholdResult,
        TrainingResult,
    )
}
"""Results of the commands that run a model, by kind."""
