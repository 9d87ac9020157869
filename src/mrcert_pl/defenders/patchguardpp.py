"""PatchGuard++: only confident masked images raise an alert (docs/theory.md, section 14)."""

from mrcert_pl.defenders.detection import ThresholdDetector


class PatchGuardPlusPlus(ThresholdDetector):
    """An alert where a masked image has another label with a confidence above the threshold (Theorem 21).

    Fewer alerts on clean images than one-mask agreement, and fewer certificates (Xiang and Mittal, PatchGuard++ 2021).
    The rule is applied to masked images of the base model, not to windows of its features as in the paper.

    Args:
        threshold, at_once, margin: see :class:`ThresholdDetector`.
    """

    name = "patchguardpp"

    @property
    def dissent_above(self) -> float:
        return self.log_odds_threshold
