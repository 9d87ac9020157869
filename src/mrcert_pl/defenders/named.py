"""Defenders by the names that the configuration has for them, with their default settings."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mrcert_pl.defenders.base import Defender
from mrcert_pl.defenders.mrcert import MRCert
from mrcert_pl.defenders.mrcert_cascade import MRCertCascade
from mrcert_pl.defenders.patchcure import PatchCURE
from mrcert_pl.defenders.undefended import Undefended
from mrcert_pl.defenders.vote import ColumnVote
from mrcert_pl.errors import unknown

_NAMED: dict[str, Callable[[], Defender[Any]]] = {
    "mrcert": MRCert,
    "mrcert_sharp": partial(MRCert, certificate="sharp"),
    "mrcert_cascade": MRCertCascade,
    "patchcure": PatchCURE,
    "vot": ColumnVote,
    "vot_sharp": partial(ColumnVote, certificate="sharp"),
    "undefended": Undefended,
}


def defender_named(name: str) -> Defender[Any]:
    """The defender that ``defender=name`` means on the command line.

    Raises:
        ConfigurationError: for an unknown name, with the known ones.
    """
    if name not in _NAMED:
        raise unknown("defender", name, _NAMED)
    return _NAMED[name]()
