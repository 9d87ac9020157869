"""One-mask agreement: PatchCensor, ViP, DOMA (docs/theory.md, section 14)."""

from mrcert_pl.defenders.detection import Detector


class PatchCensor(Detector):
    """An alert where the label of a masked image differs from that of the image (Theorem 21).

    Detection of PatchCensor (Huang et al. 2023), ViP (Li et al. 2022) and DOMA: for one patch all masks agree.

    Args:
        at_once, margin: see :class:`Detector`.
    """

    name = "patchcensor"
