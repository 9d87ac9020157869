"""The base model of a guard: what it must have, where it runs, and a classifier wrapped as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.models import WrappedClassifier
from mrcert_pl.models.wrapped import logits_of
from mrcert_pl.mutants.evaluator import MaskableModel


@runtime_checkable
class GuardableModel(MaskableModel, Protocol):
    """A base model as the guard uses it; the defender may require more."""

    @property
    def image_px(self) -> tuple[int, int]:
        """``(height, width)`` of the images."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...


_MEMBERS = ("windows", "encode", "classify_mutants", "mutant_tokens", "image_px", "num_classes")


def checked_model(model: object) -> GuardableModel:
    """Return the model if it is a base model with float32 weights in memory.

    Raises:
        ConfigurationError: for any other object; it names what is missing.
    """
    if isinstance(model, str | Path):
        raise ConfigurationError(f"{model} is a path; load it with Guard.from_checkpoint")
    if not isinstance(model, GuardableModel):
        missing = ", ".join(name for name in _MEMBERS if not hasattr(model, name))
        hint = "; wrap a classifier: Guard.wrap(module, patch=32, ...)" if isinstance(model, nn.Module) else ""
        raise ConfigurationError(f"{_name(model)} is not a base model, it has no {missing}{hint}")
    if isinstance(model, nn.Module):
        check_weights(model)
    return model


def check_weights(module: nn.Module) -> None:
    """Check that all weights are in memory and in float32.

    Raises:
        ConfigurationError: for weights on the meta device, or of another floating-point or a complex type.
    """
    for name, weight in [*module.named_parameters(), *module.named_buffers()]:
        if weight.device.type == "meta":
            raise ConfigurationError(f"the weight {name} is on the meta device; load the weights first")
        if (weight.is_floating_point() or weight.is_complex()) and weight.dtype != torch.float32:
            raise ConfigurationError(f"the weight {name} is {weight.dtype}, not float32; call model.float()")


def device_of(model: object) -> torch.device:
    """Device of the first weight of a model; the CPU if it has none."""
    weights = [*model.parameters(), *model.buffers()] if isinstance(model, nn.Module) else []
    return weights[0].device if weights else torch.device("cpu")


def device_named(name: str) -> torch.device:
    """Device of a name; ``auto`` is a GPU if there is one.

    Raises:
        ConfigurationError: for an unknown or unavailable device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise _no_device(name) from error
    available = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise _no_device(name)
    return device


def wrapped(
    module: object,
    patch: Shape | Sequence[Shape],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    image_px: int | Sequence[int] | None,
    masks_per_axis: int,
    fill: float,
) -> WrappedClassifier:
    """Wrap a classifier in evaluation mode; the number of classes is that of its logits on a black image.

    Mean, standard deviation and image size default to ``pretrained_cfg`` of a timm model.

    Raises:
        ConfigurationError: for an object that is no module, a module that does not map such an image to logits, a
            missing mean or standard deviation, or an invalid patch.
    """
    if not isinstance(module, nn.Module):
        raise ConfigurationError(f"{_name(module)} is not a torch.nn.Module from images to logits")
    known = getattr(module, "pretrained_cfg", None) or {}
    mean, std = mean or known.get("mean"), std or known.get("std")
    if mean is None or std is None:
        raise ConfigurationError(
            f"{_name(module)} does not state its normalisation: give mean= and std= of its training, e.g. "
            "(0.485, 0.456, 0.406) and (0.229, 0.224, 0.225); (0, 0, 0) and (1, 1, 1) if it normalises images itself"
        )
    try:
        means, deviations = [float(value) for value in mean], [float(value) for value in std]
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"mean and std must be three numbers each, got {mean!r} and {std!r}") from error
    if image_px is None:
        image_px = known.get("input_size", (3, 224, 224))[1:]
    size = (image_px, image_px) if isinstance(image_px, int) else (image_px[0], image_px[1])
    check_weights(module)
    module.eval()
    image = torch.zeros(1, 3, *size, device=device_of(module))
    try:
        with torch.inference_mode():
            logits = logits_of(module(image))
    except ConfigurationError:
        raise
    except Exception as error:  # a foreign module raises errors of any type
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigurationError(f"{_name(module)} fails on an image [1, 3, {size[0]}, {size[1]}]: {reason}") from error
    if len(logits) != 1 or logits.shape[1] < 2:
        raise ConfigurationError(
            f"{_name(module)} must return logits [image, class] of at least two classes, got {list(logits.shape)} "
            "for one image"
        )
    model = WrappedClassifier(module, logits.shape[1], means, deviations, patch, masks_per_axis, size, fill)
    return model.to(image.device).eval()


def _name(model: object) -> str:
    return f"a {type(model).__name__}"


def _no_device(name: object) -> ConfigurationError:
    if str(name).startswith("cuda") and not torch.cuda.is_available():
        return ConfigurationError(f"there is no device {name!r} here: PyTorch finds no GPU; choose auto or cpu")
    return ConfigurationError(f"there is no device {name!r} here; choose one of: auto, cpu, cuda")
