"""Result of a training."""

from dataclasses import dataclass

from mrcert_pl.results.codec import Amount
from mrcert_pl.results.schema.common import RunDocument


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
