"""Programs of ``torch.export``: the encoder, and the classifier of mutants that show one number of windows."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.windowed_vit import WindowedViT, visible_first


class _Encoder(nn.Module):
    """:meth:`WindowedViT.encode` as a module's call."""

    def __init__(self, model: WindowedViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image window token dim"]:
        return self.model.encode(images)


class _Mutants(nn.Module):
    """:meth:`WindowedViT.classify_mutants` without its checks, whose results a program can't depend on."""

    def __init__(self, model: WindowedViT, visible: int) -> None:
        super().__init__()
        self.model = model
        self.visible = visible

    def forward(
        self,
        features: Float[Tensor, "image window token dim"],
        image: Int[Tensor, " mutant"],
        hidden: Bool[Tensor, "mutant window"],
    ) -> Float[Tensor, "mutant class"]:
        return self.model.classify_windows(features, image, visible_first(hidden)[:, : self.visible])


def export_encoder(model: WindowedViT) -> ExportedProgram:
    """Export ``encode``, for any number of images.

    Raises:
        ConfigurationError: for a model in training mode, or with two views.
    """
    _check(model)
    images = torch.rand(2, 3, *model.image_px)
    return torch.export.export(_Encoder(model), (images,), dynamic_shapes=({0: Dim("images")},))


def export_mutants(model: WindowedViT, visible: int) -> ExportedProgram:
    """Export ``classify_mutants`` for mutants that show ``visible`` windows each, any number of them.

    The program does not check that number: the caller groups mutants by it.

    Raises:
        ConfigurationError: for a model in training mode, or with two views; for a number of windows that it lacks.
    """
    _check(model)
    if not 1 <= visible <= model.windows:
        raise ConfigurationError(f"visible must be from 1 to the {model.windows} windows, got {visible}")
    features = model.encode(torch.rand(2, 3, *model.image_px))
    hidden = (torch.arange(model.windows) >= visible).repeat(3, 1)
    shapes = ({0: Dim("images")}, {0: Dim("mutants")}, {0: Dim("mutants")})
    return torch.export.export(
        _Mutants(model, visible), (features, torch.tensor([0, 1, 0]), hidden), dynamic_shapes=shapes
    )


def _check(model: WindowedViT) -> None:
    if model.training or model.views != "one":
        raise ConfigurationError("a model is exported in evaluation mode with one view; call model.eval()")
