"""Requirements of the engine, the defenders, the guard, the attacks and training on a base model, role by role.

A base model is a ``torch.nn.Module`` with the attributes and methods of the roles that it plays. Inheritance is
not required. The logits of every model must be a function of the visible pixels alone (docs/theory.md, section 1).

A runtime check (``isinstance``) looks for names, not for types. It does not find parameters, buffers and submodules of
a module, so every member here is a method, a property or a plain attribute.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mrcert_pl.geometry import Ablations, Borders, PatchSpec
from mrcert_pl.mutants.evaluator import MaskableModel

__all__ = [
    "AblatableModel",
    "AttackableModel",
    "BaseModel",
    "CountingModel",
    "DenseModel",
    "GridModel",
    "MaskableModel",
    "SavedModel",
    "TrainableModel",
    "Weighted",
]


@runtime_checkable
class Weighted(Protocol):
    """Something with weights; every ``torch.nn.Module`` is."""

    def state_dict(self) -> dict[str, Any]:
        """Weights and buffers by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Copy weights and buffers."""
        ...


@runtime_checkable
class SavedModel(Weighted, Protocol):
    """Requirements of checkpoints."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Arguments of the constructor as plain values: in checkpoints, and in the identity of stored tables."""
        ...


@runtime_checkable
class BaseModel(MaskableModel, SavedModel, Protocol):
    """Requirements of evaluation and the guard on every model, beside the engine's :class:`MaskableModel`.

    ``training``, ``eval``, ``parameters`` and the call come with ``torch.nn.Module``.
    """

    @property
    def image_px(self) -> tuple[int, int]:
        """``(height, width)`` of the images in px."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...

    training: bool

    def eval(self) -> Any:
        """Switch to evaluation mode."""
        ...

    def parameters(self, recurse: bool = ...) -> Iterator[nn.Parameter]:
        """Weights; the first one gives the device."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move the weights to a device."""
        ...

    def requires_grad_(self, requires_grad: bool = ...) -> Any:
        """Freeze the weights, or make them trainable."""
        ...

    def __call__(self, images: Float[Tensor, "image 3 height width"], /) -> Float[Tensor, "image class"]:
        """Logits of images in [0, 1] with nothing hidden."""
        ...


@runtime_checkable
class GridModel(BaseModel, Protocol):
    """Requirements of defenders that hide masks: windows in rows and columns, numbered row by row."""

    @property
    def borders(self) -> Borders:
        """Borders of the windows in px along both axes, the edges of the image included."""
        ...

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        """Masks of windows that cover every placement of the patch, as bitsets.

        Raises:
            ConfigurationError: for a patch that no mask of windows covers.
        """
        ...

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        """Settings, in words, whose unions of ``order`` masks neither hide everything nor are too many.

        It ends the error message for a stride that does not work.
        """
        ...


@runtime_checkable
class AblatableModel(BaseModel, Protocol):
    """Requirements of votes. The windows are the image's pixel rows, then its pixel columns."""

    def ablations(self, stride: int = 1) -> Ablations:
        """The ablations that the model is made for, at every ``stride``-th px."""
        ...


@runtime_checkable
class DenseModel(BaseModel, Protocol):
    """Requirements of the audits and the benchmark: mutants of any cost in one call, by the reference path."""

    def classify(self, features: Any, hidden: Bool[Tensor, "image window"]) -> Float[Tensor, "image class"]:
        """Logits with the windows ``hidden`` hidden; differentiable in the images."""
        ...


@runtime_checkable
class AttackableModel(BaseModel, Protocol):
    """Requirements of attacks in the authors' normalised space."""

    @property
    def normalisation(self) -> tuple[Float[Tensor, "1 3 1 1"], Float[Tensor, "1 3 1 1"]]:
        """Mean and standard deviation that images are normalised with."""
        ...


@runtime_checkable
class TrainableModel(BaseModel, Protocol):
    """Requirements of masked fine-tuning."""

    def classify_visible(self, features: Any, hidden: Bool[Tensor, "image window"]) -> Float[Tensor, "image class"]:
        """Logits with the windows ``hidden`` hidden, for rows of any cost; differentiable in the weights."""
        ...

    @property
    def residual_blocks(self) -> Sequence[nn.Module]:
        """Blocks in order of depth, for stochastic depth; empty for a model without."""
        ...

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay (timm's name)."""
        ...

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers by depth, for timm's layer decay (timm's name)."""
        ...


@runtime_checkable
class CountingModel(BaseModel, Protocol):
    """Requirements for stated costs; without it plans and results leave the operations out."""

    def encode_flops(self) -> int:
        """Floating point operations of ``encode``, for one image."""
        ...

    def mutant_flops(self, hidden: Bool[Tensor, "mutant window"]) -> Int[Tensor, " mutant"]:
        """Floating point operations of ``classify_mutants``, for each mutant."""
        ...
