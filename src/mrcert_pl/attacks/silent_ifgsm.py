"""Patch IFGSM against a detector: another label, and no alert."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.attacks.ascent import Objective, check_whole
from mrcert_pl.attacks.mutant_ifgsm import MutantIFGSM
from mrcert_pl.attacks.silent import alerting, harmful_and_silent
from mrcert_pl.defenders import Detector, build
from mrcert_pl.defenders.detection import ThresholdDetector
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.protocols import BaseModel, DenseModel


class SilentIFGSM(MutantIFGSM):
    """Random starts at random locations, each improved by signed gradient steps towards a wrong label without an alert.

    The score is that of :class:`~mrcert_pl.attacks.SilentPatch` on all entries of the detector that may raise an alert;
    it is 1 if the image is misclassified and all entries are silent, by a margin.

    Args:
        arguments: Arguments of :class:`~mrcert_pl.attacks.gradient.GradientAttack`.
        detector: Name of a detector.
        threshold: Threshold of the detector; default: its own.
        stride: Stride of its masks in windows, one for both axes or one for each.
        settings: Keyword arguments of the same.

    Raises:
        ConfigurationError: For a defender that raises no alerts, a threshold of a detector without one, or numbers out
            of range.
    """

    name = "silent"

    def __init__(
        self,
        *arguments: Any,
        detector: str = "patchcensor",
        threshold: float | None = None,
        stride: int | Sequence[int] = 1,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        both = (stride, stride) if isinstance(stride, int) else stride
        if not isinstance(both, Sequence) or isinstance(both, str) or len(both) != 2:
            raise ConfigurationError(f"attack.stride must be a whole number, or one for each axis, got {stride!r}")
        for number in both:
            check_whole("attack.stride", number, 1)
        self.detector = detector
        self.threshold = threshold
        self.stride = stride
        self._rule()

    def hidden(self, model: BaseModel) -> Bool[Tensor, "mutant window"]:
        stride = self.stride if isinstance(self.stride, int) else (self.stride[0], self.stride[1])
        rule = self._rule()
        return alerting(rule, rule.mutants(model, self.patch, stride))

    def score(self, model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int) -> Objective:
        return harmful_and_silent(self._rule(), model, hidden, label)

    def _rule(self) -> Detector:
        if not isinstance(self.detector, str):
            raise ConfigurationError(f"attack.detector must be the name of a detector, got {self.detector!r}")
        rule = build(self.detector)
        if not isinstance(rule, Detector):
            raise ConfigurationError(f"attack=silent is for detectors, for example hicert, and {self.detector} is none")
        if self.threshold is None:
            return rule
        if not isinstance(rule, ThresholdDetector):
            raise ConfigurationError(f"{self.detector} has no threshold; leave attack.threshold out")
        return rule.with_threshold(self.threshold)
