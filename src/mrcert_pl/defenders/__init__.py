"""Defenders: rules from a table of labels to verdicts. No models, no images."""

import warnings
from typing import Any

from mrcert_pl.defenders.base import NO_WITNESS, Defender, first
from mrcert_pl.defenders.detection import Detector
from mrcert_pl.defenders.hicert import HiCert
from mrcert_pl.defenders.masking import MaskingDefender
from mrcert_pl.defenders.mrcert import MRCert
from mrcert_pl.defenders.mrcert_cascade import MRCertCascade
from mrcert_pl.defenders.outputs import ANY_LABEL, NO_ALERT, NO_LABEL, OutputLevel, Verdicts
from mrcert_pl.defenders.patchcensor import PatchCensor
from mrcert_pl.defenders.patchcure import PatchCURE
from mrcert_pl.defenders.patchguardpp import PatchGuardPlusPlus
from mrcert_pl.defenders.registry import build, names, register, rule_of
from mrcert_pl.defenders.undefended import Undefended
from mrcert_pl.defenders.vote import AblationVote

__all__ = [
    "ANY_LABEL",
    "NO_ALERT",
    "NO_LABEL",
    "NO_WITNESS",
    "AblationVote",
    "Defender",
    "Detector",
    "HiCert",
    "MRCert",
    "MRCertCascade",
    "MaskingDefender",
    "OutputLevel",
    "PatchCURE",
    "PatchCensor",
    "PatchGuardPlusPlus",
    "Undefended",
    "Verdicts",
    "build",
    "first",
    "names",
    "register",
    "rule_of",
]


def __getattr__(name: str) -> Any:
    if name == "ColumnVote":
        warnings.warn("ColumnVote is deprecated; use AblationVote", DeprecationWarning, stacklevel=2)
        return AblationVote
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
