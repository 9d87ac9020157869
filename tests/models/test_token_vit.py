"""Tokens of timm's families: timm's own forward, its forward with hidden keys, and hidden pixels without effect."""

from typing import Any

import pytest
import timm
import torch
from packaging.version import Version
from timm.models.beit import Beit
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import AblatedViT, MaskedViT, ViTSRF

SMALL = {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2}
PATCH_14 = {"img_size": 56}
FAMILIES = [
    pytest.param("eva02_tiny_patch14_224", PATCH_14, id="EVA-02: rotary positions, SwiGLU, norm inside"),
    pytest.param("eva_giant_patch14_224", PATCH_14, id="EVA: learned positions"),
    pytest.param("eva02_enormous_patch14_clip_224", PATCH_14, id="EVA-02-E: norm behind"),
    pytest.param("vit_small_patch16_rope_224", {}, id="RoPE-ViT: axial"),
    pytest.param("vit_small_patch16_rope_mixed_ape_224", {}, id="RoPE-ViT: learned rotations by block and head"),
    pytest.param("vit_small_patch16_dinov3", {}, id="DINOv3: registers"),
    pytest.param("vit_pe_core_tiny_patch16_384", {}, id="Perception Encoder: attention pooling"),
    pytest.param("vit_base_patch16_sapiens2", {"num_kv_heads": 1}, id="Sapiens2: grouped queries"),
    pytest.param("beit_base_patch16_224", {}, id="BEiT: biases by relative position"),
    pytest.param("beitv2_base_patch16_224", {"use_shared_rel_pos_bias": True}, id="BEiT: shared biases too"),
    pytest.param("naflexvit_base_patch16_gap", {}, id="NaFlexViT"),
    pytest.param("naflexvit_base_patch16_parfac_gap", {}, id="NaFlexViT: factorised positions, parallel blocks"),
    pytest.param("naflexvit_base_patch16_map", {"rope_type": "axial", "attn_type": "rope"}, id="NaFlexViT: rotary"),
    pytest.param("deit_tiny_distilled_patch16_224", {}, id="distilled DeiT: two class tokens"),
    pytest.param("vit_base_patch16_siglip_224", {}, id="SigLIP: attention pooling, no class token"),
]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def noisy(kind: type, backbone: str, arguments: dict[str, Any], **settings: Any) -> Any:
    """Noise on all parameters: as initialised, biases are 0 and norms 1, and errors with them don't show."""
    torch.manual_seed(0)
    model = kind(backbone, num_classes=5, backbone_args=SMALL | arguments, **settings).eval()
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return model


def timm_twin(model: Any) -> Any:
    """timm's own model with the same weights."""
    vit = timm.create_model(model.config["backbone"], num_classes=5, **model.config["backbone_args"]).eval()
    weights = model.vit.state_dict() if isinstance(model, AblatedViT) else model.state_dict()
    vit.load_state_dict({name: value for name, value in weights.items() if name not in ("mean", "std")})
    return vit.to(model.mean.dtype)


class WithMask(nn.Module):
    """BEiT's shared bias, with hidden keys."""

    def __init__(self, shared: nn.Module | None, bias: Tensor) -> None:
        super().__init__()
        self.shared, self.bias = shared, bias

    def forward(self) -> Tensor:
        return self.bias if self.shared is None else self.bias + self.shared()


def dense_logits(model: Any, images: Tensor, hidden: Tensor) -> Tensor:
    """timm's forward on all tokens, one image at a time: hidden ones are no keys, and are cut out before pooling."""
    vit = timm_twin(model)
    (height, width), logits = model.window, []
    for image, mask in zip(images, hidden, strict=True):
        tokens = mask.view(model.grid).repeat_interleave(height, 0).repeat_interleave(width, 1).flatten()
        kept = torch.cat([torch.ones(vit.num_prefix_tokens, dtype=torch.bool), ~tokens])
        bias = torch.zeros(1, 1, 1, len(kept), dtype=images.dtype).masked_fill(~kept, -torch.inf)
        pixels = model.normalised(image[None])
        if isinstance(vit, Beit):
            shared, vit.rel_pos_bias = vit.rel_pos_bias, None
            vit.rel_pos_bias = WithMask(shared, bias)
            x = vit.forward_features(pixels)
            vit.rel_pos_bias = shared
        else:
            x = vit.forward_features(pixels, attn_mask=bias)
        logits.append(vit.forward_head(x[:, kept]))
    return torch.cat(logits)


def unions(model: Any, rows: int) -> Tensor:
    """Random unions of windows that hide from none to almost all."""
    hidden = torch.rand(rows, model.windows) < torch.linspace(0, 0.9, rows)[:, None]
    hidden[:, 0] = False
    return hidden


@pytest.mark.parametrize(("backbone", "arguments"), FAMILIES)
def test_with_nothing_hidden_it_is_timms_forward(backbone: str, arguments: dict[str, Any]) -> None:
    for kind in (MaskedViT, AblatedViT):
        model = noisy(kind, backbone, arguments)
        images = torch.rand(2, 3, *model.image_px)
        expected = timm_twin(model)(model.normalised(images))
        assert expected.std() > 1e-2
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [(1, 1), (2, 1)], ids=str)
@pytest.mark.parametrize(("backbone", "arguments"), FAMILIES)
def test_the_fast_path_is_the_dense_reference(
    backbone: str, arguments: dict[str, Any], window: tuple[int, int]
) -> None:
    if "rope_mixed" in backbone and Version(timm.__version__) < Version("1.0.31"):
        pytest.skip("learned rotations of timm before 1.0.31 have no float64")
    model = noisy(MaskedViT, backbone, arguments, window=window).double()
    images, hidden = torch.rand(5, 3, *model.image_px).double(), unions(model, 5)
    expected = dense_logits(model, images, hidden)
    features = model.encode(images)
    fast = [model.classify_mutants(features, torch.tensor([row]), hidden[row, None]) for row in range(5)]
    # A table of rotations is computed in single precision by timm.
    torch.testing.assert_close(torch.cat(fast), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(model.classify_visible(features, hidden), expected, rtol=1e-6, atol=1e-7)


def painted(model: Any, images: Tensor, hidden: Tensor, value: float) -> Tensor:
    """The images with another value in all hidden pixels."""
    if isinstance(model, AblatedViT):
        rows, columns = hidden.split(model.image_px, dim=1)
        pixels = rows[:, :, None] | columns[:, None]
    else:
        (height, width), grid = model.window_px, hidden.unflatten(1, model.grid)
        pixels = grid.repeat_interleave(height, 1).repeat_interleave(width, 2)
    return images.masked_fill(pixels[:, None], value)


@pytest.mark.parametrize("kind", ["masked", "srf", "ablated"])
@pytest.mark.parametrize(("backbone", "arguments"), FAMILIES)
def test_hidden_pixels_have_no_effect_to_the_last_bit(backbone: str, arguments: dict[str, Any], kind: str) -> None:
    if kind == "srf" and "distilled" in backbone:
        pytest.skip("it pools by its two class tokens only")
    if kind == "srf":
        model = noisy(ViTSRF, backbone, arguments, window=(2, 1), split=1, hidden_tokens="drop")
    else:
        model = noisy({"masked": MaskedViT, "ablated": AblatedViT}[kind], backbone, arguments)
    hidden = model.ablations(9).hidden[1:4] if kind == "ablated" else unions(model, 4)[1:]
    images = torch.rand(3, 3, *model.image_px)
    patched = painted(model, images, hidden, torch.nan)
    assert torch.equal(model.classify_visible(model.encode(patched), hidden), model(images, hidden))
    for row in range(3):
        mutants = [
            model.classify_mutants(model.encode(x), torch.tensor([row]), hidden[row, None]) for x in (patched, images)
        ]
        assert torch.equal(*mutants)
    assert not torch.equal(model(1 - images, hidden), model(images, hidden))


@pytest.mark.parametrize(("backbone", "arguments"), FAMILIES)
def test_zero_tokens_are_merged_only_where_blocks_have_no_positions(backbone: str, arguments: dict[str, Any]) -> None:
    if "distilled" in backbone:
        pytest.skip("it pools by its two class tokens only")
    in_blocks = any(word in backbone for word in ("eva02_tiny", "rope", "dinov3", "pe_core", "sapiens", "beit"))
    if in_blocks or "rope_type" in arguments:
        with pytest.raises(ConfigurationError, match=r"Theorem 5\); give model.hidden_tokens=drop"):
            noisy(ViTSRF, backbone, arguments, window=(2, 1), split=1)
        return
    model = noisy(ViTSRF, backbone, arguments, window=(2, 1), split=1).double()
    hidden = unions(model, 5)
    features = model.encode(torch.rand(5, 3, *model.image_px).double())
    dense = model.classify(features, hidden)
    fast = [model.classify_mutants(features, torch.tensor([row]), hidden[row, None]) for row in range(5)]
    torch.testing.assert_close(torch.cat(fast), dense, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("backbone", "arguments"), FAMILIES)
def test_layers_and_gradients(backbone: str, arguments: dict[str, Any]) -> None:
    model = noisy(MaskedViT, backbone, arguments).train()
    hidden = unions(model, 3)
    with torch.enable_grad():
        model.classify_visible(model.encode(torch.rand(3, 3, *model.image_px)), hidden).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.no_weight_decay() <= {name for name, _ in model.named_parameters()}
