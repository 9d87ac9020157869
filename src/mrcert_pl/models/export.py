"""Programs of ``torch.export``: the encoder, and the classifier of mutants."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.vit_srf import ViTSRF
from mrcert_pl.models.windowed_vit import WindowedViT

# Sizes of a program's inputs have a limit; the tracer of early versions compares them with the largest integer.
_MOST = 1 << 30


class _Encoder(nn.Module):
    """:meth:`WindowedViT.encode` as a module's call."""

    def __init__(self, model: WindowedViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image window token dim"]:
        return self.model.encode(images)


class _Mutants(nn.Module):
    """:meth:`WindowedViT.classify_windows` as a module's call."""

    def __init__(self, model: WindowedViT) -> None:
        super().__init__()
        self.model = model
        self.merges = isinstance(model, ViTSRF) and model.hidden_tokens == "zero"

    def forward(
        self,
        features: Float[Tensor, "image window token dim"],
        image: Int[Tensor, " mutant"],
        window: Int[Tensor, "mutant visible"],
    ) -> Float[Tensor, "mutant class"]:
        # Without a mask, ViT-SRF branches on whether a window is hidden; a program can't.
        shown = torch.ones_like(window, dtype=torch.bool) if self.merges else None
        return self.model.classify_windows(features, image, window, shown)


@torch.no_grad()
def export_encoder(model: WindowedViT) -> ExportedProgram:
    """Export ``encode``: a program from ``images`` in [0, 1], any number of them, to features.

    Raises:
        ConfigurationError: for a model in training mode, or with two views.
    """
    shapes = ({0: Dim("images", max=_MOST)},)
    return torch.export.export(_Encoder(model), (_images(model),), dynamic_shapes=shapes, strict=False)


@torch.no_grad()
def export_mutants(model: WindowedViT) -> ExportedProgram:
    """Export ``classify_mutants``: a program from ``features, image, window`` to logits.

    ``image`` is the index of the image of each mutant, ``window[mutant, visible]`` the numbers of its visible windows
    in ascending order. All mutants of a call show the same number of windows; that number and the number of mutants
    may differ from call to call. The program checks neither order nor range of the numbers.

    Raises:
        ConfigurationError: for a model in training mode, or with two views.
    """
    features = model.encode(_images(model))
    image = torch.tensor([0, 1, 0], device=features.device)
    window = torch.zeros(3, 2, dtype=torch.long, device=features.device)
    shapes = (
        {0: Dim("images", max=_MOST)},
        {0: Dim("mutants", max=_MOST)},
        {0: Dim("mutants", max=_MOST), 1: Dim("visible", max=_MOST)},
    )
    return torch.export.export(_Mutants(model), (features, image, window), dynamic_shapes=shapes, strict=False)


def _images(model: WindowedViT) -> Float[Tensor, "2 3 height width"]:
    """Images to trace a program with."""
    if model.training or model.views != "one":
        raise ConfigurationError("a model is exported in evaluation mode with one view; call model.eval()")
    return torch.rand(2, 3, *model.image_px, device=model.mean.device)
