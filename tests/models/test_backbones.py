import pytest
import timm
import torch
from noisy_srf import SMALL
from timm.layers import PatchEmbed
from torch import nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.backbones import plain_vit


@pytest.fixture(autouse=True)
def _weightless():
    """What is refused is refused for its structure, so no weights need to be made."""
    with torch.device("meta"):
        yield


@pytest.mark.parametrize(
    "name",
    ["vit_base_patch16_224.mae", "vit_small_patch16_224", "deit3_small_patch16_224", "vit_base_patch16_clip_224"],
)
def test_plain_vits_are_accepted_with_average_pooling(name):
    vit = plain_vit(name, 7)
    assert vit.global_pool == "avg"
    assert isinstance(vit.fc_norm, nn.LayerNorm)
    assert vit.head.out_features == 7


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet50", "it is a ResNet"),
        ("eva02_tiny_patch14_224", "it is a Eva"),
        ("vit_small_patch16_rope_224", "it is a Eva"),
        ("swin_tiny_patch4_window7_224", "it is a SwinTransformer"),
        ("vit_small_patch14_reg4_dinov2", "one class token and no registers"),
        ("vit_base_patch16_siglip_gap_224", "one class token and no registers"),
        ("vit_small_patch16_18x2_224", "not standard pre-norm blocks"),
        ("vit_base_patch16_rpn_224", "not standard pre-norm blocks"),
    ],
)
def test_other_architectures_are_refused(name, reason):
    with pytest.raises(ConfigurationError, match=f"'{name}' is not a plain ViT: .*{reason}.*; take one such as"):
        plain_vit(name, 7)


@pytest.mark.parametrize(
    "name", ["vit_tiny_r_s16_p8_224", "vit_small_r26_s32_224", "vit_base_r50_s16_224", "vit_base_mci_224"]
)
def test_hybrids_are_refused(name):
    """A convolutional stem sees beyond a window: a patch would leak into others, and no certificate would hold."""
    with pytest.raises(ConfigurationError, match=r"is not a plain ViT: .*not a fixed grid of patches"):
        plain_vit(name, 7)


class OverlappingEmbed(PatchEmbed):
    def __init__(self, *args, embed_dim, **kwargs):
        super().__init__(*args, embed_dim=embed_dim, **kwargs)
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=32, stride=16, padding=8)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"class_token": False}, "one class token and no registers"),
        ({"reg_tokens": 2}, "one class token and no registers"),
        ({"pos_embed": "none"}, "no learned positions"),
        ({"dynamic_img_size": True}, "not a fixed grid of patches"),
        ({"embed_layer": OverlappingEmbed}, "not a fixed grid of patches"),
        ({"fc_norm": False}, "normalises before it pools"),
    ],
)
def test_arguments_that_make_it_less_plain_are_refused(arguments, reason):
    with pytest.raises(ConfigurationError, match=reason):
        plain_vit("vit_tiny_patch16_224", 7, **SMALL, **arguments)


@pytest.mark.parametrize("arguments", [{"num_heads": 3}, {"no_such_argument": 1}], ids=str)
def test_arguments_that_timm_refuses_are_an_error_with_the_name(arguments):
    with pytest.raises(ConfigurationError, match="timm can't make 'vit_tiny_patch16_224' with"):
        plain_vit("vit_tiny_patch16_224", 7, **(SMALL | arguments))


@pytest.mark.parametrize("arguments", [{"global_pool": "token"}, {"in_chans": 1}, {"num_classes": 3}], ids=str)
def test_arguments_that_are_not_free_are_refused(arguments):
    with pytest.raises(ConfigurationError, match=f"not free: {next(iter(arguments))}"):
        ViTSRF("vit_tiny_patch16_224", num_classes=7, backbone_args=SMALL | arguments)


def test_images_that_are_no_whole_patches_are_refused():
    with pytest.raises(ConfigurationError, match="not whole patches"):
        plain_vit("vit_tiny_patch16_224", 7, **(SMALL | {"img_size": 70}))


def test_unknown_names_get_similar_ones():
    with pytest.raises(ConfigurationError, match=r"timm has no model 'vit_tiny_patch17_224'; .*vit_tiny_patch16_224"):
        plain_vit("vit_tiny_patch17_224", 7)
    with pytest.raises(ConfigurationError, match=r"timm has no model 'nonsense'; see timm.list_models"):
        plain_vit("nonsense", 7)


def test_unknown_tags_are_refused():
    with pytest.raises(ConfigurationError, match="no_such_tag"):
        plain_vit("vit_tiny_patch16_224.no_such_tag", 7)


def test_weights_that_cannot_be_had_are_an_error_of_the_user(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigurationError, match=r"the weights of .* can't be loaded .*model.pretrained=false"):
        plain_vit("vit_tiny_patch16_224", 7, True)
    with pytest.raises(OSError, match="no route"):
        plain_vit("vit_tiny_patch16_224", 7)
