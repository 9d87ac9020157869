"""The kinds of base models by name: for settings, and for checkpoints, which name classes of this table alone."""

from typing import TYPE_CHECKING, Any

from torch import nn

from mrcert_pl.errors import ConfigurationError, unknown
from mrcert_pl.models.ablated_vit import AblatedViT
from mrcert_pl.models.black_box import BlackBox
from mrcert_pl.models.masked_vit import MaskedViT
from mrcert_pl.models.vit_srf import ViTSRF

if TYPE_CHECKING:
    from mrcert_pl.models.protocols import (
        AblatableModel,
        AttackableModel,
        CountingModel,
        DenseModel,
        GridModel,
        TrainableModel,
    )

    _GRID: tuple[type[GridModel], ...] = (ViTSRF, MaskedViT, BlackBox)
    _ABLATABLE: type[AblatableModel] = AblatedViT
    _DENSE: tuple[type[DenseModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)
    _ATTACKABLE: tuple[type[AttackableModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)
    _TRAINABLE: tuple[type[TrainableModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)
    _COUNTING: tuple[type[CountingModel], ...] = (ViTSRF, MaskedViT, BlackBox, AblatedViT)

_KINDS: dict[str, type[nn.Module]] = {
    "vit_srf": ViTSRF,
    "masked_vit": MaskedViT,
    "column_vit": AblatedViT,
    "blackbox": BlackBox,
}
OWN = frozenset(_KINDS.values())
"""Classes of the kinds of the package."""


def register(name: str, kind: type[nn.Module]) -> None:
    """Add a kind of model under a name; checkpoints refer to it by the name of its class.

    Args:
        name: Name in settings.
        kind: A class that plays roles of :mod:`mrcert_pl.models.protocols` and whose constructor takes the values of
            its ``config``.

    Raises:
        ConfigurationError: for a name, or a class name, that another kind has.
    """
    other = _KINDS.get(name) or {known.__name__: known for known in _KINDS.values()}.get(kind.__name__)
    if other is not None and other is not kind:
        raise ConfigurationError(f"the model {name!r} of the class {kind.__name__} is registered as another class")
    _KINDS[name] = kind


def build(name: str, **settings: Any) -> Any:
    """Make a model of a registered kind.

    Args:
        name: One of :func:`names`.
        settings: Arguments of its class.

    Raises:
        ConfigurationError: for an unknown name, and as the class raises it.
    """
    return kind_named(name)(**settings)


def kind_named(name: str) -> type[nn.Module]:
    """Return the class of a registered kind.

    Raises:
        ConfigurationError: for an unknown name.
    """
    if name not in _KINDS:
        raise unknown("model", name, _KINDS)
    return _KINDS[name]


def names() -> tuple[str, ...]:
    """Names of the registered kinds."""
    return tuple(_KINDS)


def kinds() -> dict[str, type[nn.Module]]:
    """The registered classes by the name of the class, as checkpoints have it."""
    return {kind.__name__: kind for kind in _KINDS.values()}
