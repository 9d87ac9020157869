"""The registry: the only list of defenders by name.

A defender outside the package calls :func:`register` in its own file; ``module:name`` then names it everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from mrcert_pl.defenders.base import Defender
from mrcert_pl.defenders.hicert import HiCert
from mrcert_pl.defenders.mrcert import MRCert
from mrcert_pl.defenders.mrcert_cascade import MRCertCascade
from mrcert_pl.defenders.patchcensor import PatchCensor
from mrcert_pl.defenders.patchcure import PatchCURE
from mrcert_pl.defenders.patchguardpp import PatchGuardPlusPlus
from mrcert_pl.defenders.undefended import Undefended
from mrcert_pl.defenders.vote import AblationVote
from mrcert_pl.errors import ConfigurationError, unknown

Build = Callable[..., Defender[Any]]
"""From ``patches`` and the settings of a defender to the defender."""

Rule = Callable[..., dict[str, Any]]
"""A second implementation: ``rule(mutants, labels, margins, **settings)``.

``mutants`` holds the plain values that identify the mutants (``MutantSet.identity``) and ``patch_px``, the height and
width of every shape of the patch. ``labels`` and ``margins`` are NumPy arrays ``[image, mutant]``. The settings are
those of the configuration. The result maps columns of ``verdicts.parquet`` to arrays ``[image]``.
"""


@dataclass(frozen=True)
class _Entry:
    build: Build
    rule: Rule | str | None


_REGISTRY: dict[str, _Entry] = {}


def register(name: str, build: Build, rule: Rule | str | None = None) -> None:
    """Register a defender.

    Args:
        name: its name on the command line, in ``Guard`` and in results.
        build: from the keyword ``patches`` and the settings to the defender.
        rule: second implementation for ``mrcert verify``, or its location as ``"module:function"``; without one
            ``mrcert verify`` skips evaluations of this defender.

    Raises:
        ConfigurationError: for the name of a defender of the package.
    """
    if name in OWN:
        raise ConfigurationError(f"{name!r} is a defender of mrcert_pl; register yours under another name")
    _REGISTRY[name] = _Entry(build, rule)


def build(name: str, patches: int = 2, **settings: Any) -> Defender[Any]:
    """Build a registered defender.

    Args:
        name: one of :func:`names`, or ``module:name`` to import the module that registers it first.
        patches: total number of patches, before and after certification; ignored by defenders for a fixed number.
        settings: further settings of the defender.

    Raises:
        ConfigurationError: for an unknown name, with the valid ones, or settings out of range.
    """
    if not isinstance(name, str):
        raise unknown("defender", name, _REGISTRY)
    module, _, name = name.rpartition(":")
    if module:
        try:
            import_module(module)
        except ImportError as error:
            raise ConfigurationError(
                f"the module of the defender {module}:{name} can't be imported ({error}); add its folder to PYTHONPATH"
            ) from error
    defender = _entry(name).build(patches=patches, **settings)
    own = {"patches": patches} if hasattr(defender, "patches") and "patches" not in settings else {}
    defender.settings = {**own, **settings}
    return defender


def names() -> list[str]:
    """Names of all registered defenders."""
    return sorted(_REGISTRY)


def rule_of(name: str) -> Rule | None:
    """Second implementation of a defender, ``None`` if it has none.

    Args:
        name: one of :func:`names`. The module of ``module:name`` is not imported.

    Raises:
        ConfigurationError: for an unknown name, with the valid ones.
    """
    rule = _entry(name.rpartition(":")[2]).rule
    if not isinstance(rule, str):
        return rule
    module, _, function = rule.partition(":")
    found: Rule = getattr(import_module(module), function)
    return found


def _entry(name: str) -> _Entry:
    if name not in _REGISTRY:
        raise unknown("defender", name, _REGISTRY)
    return _REGISTRY[name]


def _one_patch(defender: Build, **fixed: Any) -> Build:
    """Build a defender that has no setting for the number of patches."""
    return lambda patches, **settings: defender(**fixed | settings)


_RULES = "mrcert_pl.verification"
_REGISTRY |= {
    "hicert": _Entry(_one_patch(HiCert), f"{_RULES}.detection:hicert"),
    "mrcert": _Entry(MRCert, f"{_RULES}.masks:mrcert"),
    "mrcert_cascade": _Entry(MRCertCascade, f"{_RULES}.masks:cascade"),
    "mrcert_sharp": _Entry(partial(MRCert, certificate="sharp"), f"{_RULES}.masks:mrcert_sharp"),
    "patchcensor": _Entry(_one_patch(PatchCensor), f"{_RULES}.detection:patchcensor"),
    "patchcure": _Entry(_one_patch(PatchCURE), f"{_RULES}.masks:patchcure"),
    "patchcure_paper": _Entry(_one_patch(PatchCURE, certificate="paper"), f"{_RULES}.masks:patchcure_paper"),
    "patchguardpp": _Entry(_one_patch(PatchGuardPlusPlus), f"{_RULES}.detection:patchguardpp"),
    "undefended": _Entry(_one_patch(Undefended), f"{_RULES}.masks:undefended"),
    "vot": _Entry(_one_patch(AblationVote), f"{_RULES}.votes:vote"),
    "vot_sharp": _Entry(_one_patch(AblationVote, certificate="sharp"), f"{_RULES}.votes:vote_sharp"),
}
OWN = frozenset(_REGISTRY)
"""Names of the defenders of the package."""
