"""Defenders by the names that the configuration has for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mrcert_pl.defenders.base import Defender
from mrcert_pl.defenders.mrcert import MRCert
from mrcert_pl.defenders.mrcert_cascade import MRCertCascade
from mrcert_pl.defenders.patchcure import PatchCURE
from mrcert_pl.defenders.undefended import Undefended
from mrcert_pl.defenders.vote import AblationVote
from mrcert_pl.errors import unknown

# From the number of patches; those that have no such setting are built for one.
_NAMED: dict[str, Callable[[int], Defender[Any]]] = {
    "mrcert": MRCert,
    "mrcert_sharp": partial(MRCert, certificate="sharp"),
    "mrcert_cascade": MRCertCascade,
    "patchcure": lambda patches: PatchCURE(),
    "vot": lambda patches: AblationVote(),
    "vot_sharp": lambda patches: AblationVote("sharp"),
    "undefended": lambda patches: Undefended(),
}


def build(name: str, patches: int = 2) -> Defender[Any]:
    """The defender that ``defender=name patches=...`` means on the command line.

    Args:
        name: see the folder ``defender`` of the configuration.
        patches: in total, earlier and later ones.

    Raises:
        ConfigurationError: for an unknown name, with the known ones, or fewer than one patch.
    """
    if name not in _NAMED:
        raise unknown("defender", name, _NAMED)
    return _NAMED[name](patches)


def names() -> list[str]:
    """Names of all registered defenders."""
    return sorted(_NAMED)
