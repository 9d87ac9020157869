"""Defenders: they turn a table of labels into verdicts, and know neither models nor images."""

from mrcert_pl.defenders.base import Defender, Verdicts
from mrcert_pl.defenders.mrcert import MRCert
from mrcert_pl.defenders.mrcert_cascade import MRCertCascade
from mrcert_pl.defenders.patchcure import PatchCURE
from mrcert_pl.defenders.undefended import Undefended
from mrcert_pl.defenders.vote import ColumnVote

__all__ = ["ColumnVote", "Defender", "MRCert", "MRCertCascade", "PatchCURE", "Undefended", "Verdicts"]
