"""A small random model of every kind, its checkpoint, images for it, and the labels of all their mutants."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrcert_pl.defenders import AblationVote, Defender, MRCert, MRCertCascade, PatchCURE, Undefended
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.guard import GuardVerdict
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.checkpoints import describe_model, write_weights
from mrcert_pl.mutants import PredictionTable

PATCH = PatchSpec(1)
# Seven columns of 16 px.
WIDE = {"img_size": (64, 112), "embed_dim": 32, "depth": 2, "num_heads": 2}
SQUARE = {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2}


@dataclass(frozen=True)
class Kind:
    """A kind of base model and the defenders that it goes with."""

    model: Any
    defenders: tuple[Defender[Any], ...]


@torch.inference_mode()
def _noisy(make: Callable[[], Any], noise: float, head: str | None = None) -> Any:
    """A model with noise on its weights, on which no class is ahead everywhere if its head is named."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
        for parameter in model.parameters():
            parameter.data += noise * torch.randn_like(parameter)
    if head is not None:
        model.get_submodule(head).bias.data -= model(images_for(model)).mean(0)
    return model


MASKING = (MRCert(), MRCert(certificate="sharp"), MRCertCascade(), PatchCURE(), PatchCURE("majority"), Undefended())
VOTES = (AblationVote(), AblationVote("sharp"), Undefended())


def kinds() -> dict[str, Kind]:
    plain: dict[str, Any] = {"backbone": "vit_tiny_patch16_224", "num_classes": 5}
    box: dict[str, Any] = {"backbone": "test_vit", "num_classes": 5, "backbone_args": {"img_size": 64}}
    columns = {"window": (4, 1), "backbone_args": WIDE}
    return {
        "vit_srf": Kind(_noisy(lambda: ViTSRF(**plain, **columns, split=1), 0.3, "head"), MASKING),
        "masked_vit": Kind(_noisy(lambda: MaskedViT(**plain, **columns), 0.3, "head"), MASKING),
        "blackbox": Kind(
            _noisy(lambda: BlackBox(**box, patch=15, masks_per_axis=3, image_px=(64, 64)), 0.1, "net.head"), MASKING
        ),
        "column_vit": Kind(_noisy(lambda: AblatedViT(**plain, width=19, backbone_args=SQUARE), 0.4), VOTES),
    }


def images_for(model: Any, n: int = 6) -> Tensor:
    """Noise with one bright square each: what is hidden matters."""
    draw = torch.Generator().manual_seed(1)
    images = 0.5 * torch.rand(n, 3, *model.image_px, generator=draw)
    for row in range(n):
        images[row, row % 3, 8:40, 7 * row : 7 * row + 24] = 1.0
    return images


@torch.inference_mode()
def full_table(model: Any, defender: Defender[Any], images: Tensor) -> PredictionTable:
    """All labels, by one dense forward for each mutant, all images at once."""
    lattice = defender.mutants(model, PATCH)
    features = model.encode(images)
    logits = torch.stack([model.classify(features, row.expand(len(images), -1)) for row in lattice.hidden], dim=1)
    best = logits.sort(dim=2, descending=True).values
    return PredictionTable(lattice, logits.argmax(2), best[..., 0] - best[..., 1])


def save(kind: Kind, path: Path, **changes: Any) -> Path:
    """A checkpoint as ``train.py`` writes them, or a safetensors."""
    classes = [f"class {label}" for label in range(5)]
    origin = {**describe_model(kind.model), "dataset": "digits", "classes": classes, "patch": "1", **changes}
    origin = {name: value for name, value in origin.items() if value is not None}
    weights = kind.model.state_dict()
    if path.suffix == ".safetensors":
        write_weights(path, weights, origin)
    else:
        torch.save({"state_dict": {f"model.{name}": w for name, w in weights.items()}, "mrcert": origin}, path)
    return path


def comparable(verdict: GuardVerdict) -> dict[str, Any]:
    """All but the time, and the margin without what other batches change in it."""
    margin = None if verdict.margin is None else round(verdict.margin, 3)
    return verdict.to_json() | {"seconds": None, "margin": margin}
