"""HiCert: masked images without confidence raise an alert too (docs/theory.md, section 14)."""

from mrcert_pl.defenders.detection import ThresholdDetector


class HiCert(ThresholdDetector):
    """An alert where a masked image has another label, or the same with a confidence below the threshold (Theorem 21).

    It certifies images whose masked versions disagree, if these have little confidence (Zhou et al., HiCert), and
    raises more alerts on clean images. The threshold 0 is one-mask agreement.

    Args:
        threshold, at_once, margin: see :class:`ThresholdDetector`.
    """

    name = "hicert"

    @property
    def agreement_below(self) -> float:
        return self.log_odds_threshold
