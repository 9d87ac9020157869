"""Weights of the families beside the plain ViT: other grids, and heads of other classes."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import MaskedViT

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
DISTILLED = "deit_tiny_distilled_patch16_224"


def foreign(name: str, path: Path, num_classes: int = 5, **arguments: Any) -> dict[str, Tensor]:
    """Weights of somebody else in a file, with noise on every parameter."""
    torch.manual_seed(3)
    net = timm.create_model(name, num_classes=num_classes, **SMALL, **arguments)
    state = {key: value + 0.2 * torch.randn_like(value) for key, value in net.state_dict().items()}
    torch.save(state, path)
    return state


@pytest.mark.parametrize(
    ("name", "place", "home", "patch_px"),
    [
        ("eva02_tiny_patch14_224", "pos_embed", "eva", 14),
        ("vit_pe_core_tiny_patch16_384", "pos_embed", "eva", 16),
        ("beit_base_patch16_224", "blocks.1.attn.relative_position_bias_table", "beit", 16),
        (DISTILLED, "pos_embed", "deit", 16),
    ],
)
@pytest.mark.parametrize("tokens", [4, 7])
def test_positions_are_resampled_as_timm_does(
    name: str, place: str, home: str, patch_px: int, tokens: int, tmp_path: Path
) -> None:
    state = foreign(name, tmp_path / "w.pth", img_size=6 * patch_px)
    size = {"img_size": tokens * patch_px}
    ours = MaskedViT(name, num_classes=5, weights=tmp_path / "w.pth", backbone_args={**SMALL, **size})
    reference = timm.create_model(name, num_classes=5, **SMALL, **size)
    module = importlib.import_module(f"timm.models.{home}")
    filter_weights: Any = module.checkpoint_filter_fn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filtered = filter_weights(dict(state), reference)[place]
    found = ours.state_dict()[next(key for key in ours.state_dict() if key.endswith(place))]
    assert found.shape != state[place].shape
    torch.testing.assert_close(found, filtered)


def test_positions_of_naflexvit_are_resampled(tmp_path: Path) -> None:
    name = "naflexvit_base_patch16_gap"
    state = foreign(name, tmp_path / "w.pth")
    constant = torch.arange(32.0).expand_as(state["embeds.pos_embed"]).clone()
    torch.save({**state, "embeds.pos_embed": constant}, tmp_path / "w.pth")
    smaller = {**SMALL, "pos_embed_grid_size": (5, 5)}
    found = MaskedViT(name, num_classes=5, weights=tmp_path / "w.pth", backbone_args=smaller).state_dict()
    (grid,) = (value for key, value in found.items() if key.endswith("embeds.pos_embed"))
    assert grid.shape == (1, 5, 5, 32)
    torch.testing.assert_close(grid, torch.arange(32.0).expand_as(grid))


def heads(model: MaskedViT) -> dict[str, Tensor]:
    found = model.state_dict()
    return {key[key.index("head") :]: value for key, value in found.items() if "head" in key}


def test_both_heads_of_a_distilled_model_change(tmp_path: Path) -> None:
    state = foreign(DISTILLED, tmp_path / "w.pth", num_classes=9)
    same = MaskedViT(DISTILLED, num_classes=9, weights=tmp_path / "w.pth", backbone_args=SMALL)
    fresh = MaskedViT(DISTILLED, num_classes=5, weights=tmp_path / "w.pth", backbone_args=SMALL)
    rows = [8, 0, 3, 3, 5]
    chosen = MaskedViT(DISTILLED, num_classes=5, weights=tmp_path / "w.pth", backbone_args=SMALL, head_rows=rows)
    assert len(heads(same)) == len(heads(chosen)) == 4
    for key, value in heads(same).items():
        assert torch.equal(value, state[key])
        assert torch.equal(heads(chosen)[key], state[key][rows])
        assert not torch.equal(heads(fresh)[key], state[key][:5])
    images = torch.rand(2, 3, 224, 224)
    torch.testing.assert_close(chosen.eval()(images), same.eval()(images)[:, rows])
    with pytest.raises(ConfigurationError, match="head_rows must be from 0 to 8"):
        MaskedViT(DISTILLED, num_classes=1, weights=tmp_path / "w.pth", backbone_args=SMALL, head_rows=[9])
