"""Result of a benchmark."""

from dataclasses import dataclass, field

from mrcert_pl.plain import Record
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Amount, Count, Document, Settings
from mrcert_pl.results.schema.common import Environment, MutantFacts, Patch


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
