"""Result of a verification."""

from dataclasses import dataclass
from typing import Any

from mrcert_pl.plain import Record
from mrcert_pl.results.codec import Count, Document


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
    """Differences between the verdicts of an evaluation and those of a second implementation.

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
