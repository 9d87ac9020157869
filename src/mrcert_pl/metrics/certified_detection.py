"""Certified detection accuracy, certified ratio and alerts."""

from jaxtyping import Int
from torch import Tensor

from mrcert_pl.defenders import ANY_LABEL, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.metrics.counting import CountingMetric

DETECTIONS = ("base", "clean", "certified_detection", "certified_ratio", "alerts")
HARMFUL_ALERTS = "harmful_alerts"


class CertifiedDetectionAccuracy(CountingMetric):
    """Accuracies of a detector (docs/theory.md, section 14).

    - ``base``, ``clean``: the label of the unmasked image is correct (the detector's label is the base model's);
    - ``certified_detection``: it is correct, and the image is detection-certified for it (ViP, PatchCensor);
    - ``certified_ratio``: the image is detection-certified for its true label, whatever its label is (HiCert);
    - ``alerts``: the detector raises an alert;
    - ``harmful_alerts``, for attacked images, relative to those that are misclassified: the detector raises an alert;
      the others are harmful and silent.

    Args:
        attacked: whether to include ``harmful_alerts``.
        kwargs: arguments of torchmetrics' ``Metric``.
    """

    states = ("base", "certified_detection", "certified_ratio", "alerts", "harmful_alerts", "counted")
    of_harmful = HARMFUL_ALERTS

    base: Tensor
    certified_detection: Tensor
    certified_ratio: Tensor
    alerts: Tensor
    harmful_alerts: Tensor
    counted: Tensor

    def update(
        self, verdicts: Verdicts, target: Int[Tensor, "*images"], base: Int[Tensor, "*others"] | None = None
    ) -> None:
        """Count a batch.

        Args:
            verdicts: verdicts of a detector.
            target: true labels ``[image]``.
            base: ignored; a detector's label is the base model's.

        Raises:
            ConfigurationError: for labels of another shape, or verdicts without alerts or certificates of detection.
        """
        if verdicts.alert is None or verdicts.detects is None:
            raise ConfigurationError(
                "the accuracies of detection need a detector (patchcensor, hicert, patchguardpp) and the output level "
                '"certificate"'
            )
        if target.shape != verdicts.label.shape:
            raise ConfigurationError(
                f"target must be {list(verdicts.label.shape)} like the verdicts, not {list(target.shape)}"
            )
        correct, alerts = verdicts.label == target, verdicts.alert >= 0
        certified = (verdicts.detects == target) | (verdicts.detects == ANY_LABEL)
        self.counted += len(target)
        self.base += correct.sum()
        self.certified_detection += (correct & certified).sum()
        self.certified_ratio += certified.sum()
        self.alerts += alerts.sum()
        self.harmful_alerts += (alerts & ~correct).sum()

    def _counts(self) -> dict[str, int]:
        names = (*DETECTIONS, HARMFUL_ALERTS) if self.attacked else DETECTIONS
        return {name: int(getattr(self, "base" if name == "clean" else name)) for name in names} | {
            "n": int(self.counted)
        }
