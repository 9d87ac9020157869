"""Cross-checking: an alert where two defenders disagree (docs/theory.md, Theorem 23; CrossCert)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrcert_pl.errors import ResultsError
from mrcert_pl.results.compare import check_same_images
from mrcert_pl.results.runs import EvaluationRun
from mrcert_pl.results.schema import ADVERSARIAL, ANY_LABEL, Accuracy, CrossResult, VerdictRow

NO_LABEL = -1


@dataclass(frozen=True)
class CrossVerdict:
    """The verdict of two defenders that check each other.

    Attributes:
        id: Id of the image.
        label: True label.
        prediction: Label of the first defender.
        alert: Whether the second one has another label.
        detects: Label for which the image is detection-certified: every image that differs from this one inside the
            patch has it or raises an alert. :data:`NO_LABEL` for none, :data:`ANY_LABEL` if all of them raise one.
        unwavering: Whether all of them have this label and raise no alert.
    """

    id: int
    label: int
    prediction: int
    alert: bool
    detects: int
    unwavering: bool

    @property
    def certified(self) -> bool:
        """Whether the image is detection-certified for its true label."""
        return self.detects in (self.label, ANY_LABEL)


def cross_verdict(first: VerdictRow, second: VerdictRow) -> CrossVerdict:
    """Return the verdict on one image (Theorem 23)."""
    certified = {row.prediction for row in (first, second) if row.certified}
    both = first.certified and second.certified
    # Two certified labels that differ: every patched version has both, and raises an alert.
    detects = NO_LABEL if not certified else ANY_LABEL if len(certified) == 2 else certified.pop()
    alert = first.prediction != second.prediction
    return CrossVerdict(first.id, first.label, first.prediction, alert, detects, both and not alert)


def cross_verdicts(first: EvaluationRun, second: EvaluationRun) -> list[CrossVerdict]:
    """Let two evaluations of the same images check each other.

    Args:
        first: Its labels are returned.
        second: Its labels are compared with them.

    Raises:
        ResultsError: If verdicts are missing or damaged, about different images or patches, or of a detector.
    """
    for run in (first, second):
        if "alerts" in run.result.accuracy or run.result.defender == "undefended":
            raise ResultsError(
                f"{run.folder} is of {run.result.defender}, which recovers no label; cross-checking takes two "
                "defenders that do, for example mrcert_cascade and vot"
            )
    if first.result.patch != second.result.patch:
        raise ResultsError(
            f"{first.folder} is for a patch of {first.result.patch}, {second.folder} for {second.result.patch}; "
            "evaluate both for the same patch="
        )
    a, b = ({row.id: row for row in run.verdicts()} for run in (first, second))
    check_same_images(first, second, a, b)
    return [cross_verdict(row, b[image_id]) for image_id, row in sorted(a.items())]


def cross_result(first: EvaluationRun, second: EvaluationRun, verdicts: Sequence[CrossVerdict]) -> CrossResult:
    """Count the verdicts of :func:`cross_verdicts`."""
    n = len(verdicts)
    correct = [verdict.prediction == verdict.label for verdict in verdicts]
    certified = [verdict.certified for verdict in verdicts]
    unwavering = [verdict.unwavering for verdict in verdicts]
    counts = {
        "clean": sum(correct),
        "certified_detection": sum(a and b for a, b in zip(correct, certified, strict=True)),
        "unwavering": sum(a and b for a, b in zip(correct, unwavering, strict=True)),
        "certified_ratio": sum(certified),
        "alerts": sum(verdict.alert for verdict in verdicts),
    }
    accuracy = {name: Accuracy(count, n) for name, count in counts.items()}
    if ADVERSARIAL in first.result.accuracy:
        harmful = [verdict for verdict, good in zip(verdicts, correct, strict=True) if not good]
        accuracy["harmful_alerts"] = Accuracy(sum(verdict.alert for verdict in harmful), len(harmful))
    return CrossResult(
        (str(first.folder), str(second.folder)),
        (first.result.defender, second.result.defender),
        first.result.dataset,
        first.result.patch,
        n,
        accuracy,
    )
