import pytest
import timm
import torch
from noisy_srf import SMALL
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.backbones import averaging_vit, token_vit


@pytest.fixture(autouse=True)
def _weightless():
    """What is refused is refused for its structure, so no weights need to be made."""
    with torch.device("meta"):
        yield


@pytest.mark.parametrize(
    "name",
    [
        "vit_base_patch16_224.mae",
        "vit_small_patch14_reg4_dinov2",
        "eva02_tiny_patch14_224",
        "naflexvit_base_patch16_map",
    ],
)
def test_token_vits_are_accepted_with_average_pooling(name):
    vit, image_px = averaging_vit(name, 7)
    assert vit.global_pool == "avg"
    assert vit.head.out_features == 7
    assert image_px[0] == image_px[1] == vit.pretrained_cfg["input_size"][1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet50", "a ResNet has no tokens for patches"),
        ("swin_tiny_patch4_window7_224", "attends within windows of the grid"),
        ("vit_relpos_small_patch16_224", "its attention by relative position"),
        ("mixer_s16_224", "mixes tokens by weights"),
        ("xcit_nano_12_p16_224", "statistics of all tokens"),
        *((name, "convolutional stem") for name in ("vit_tiny_r_s16_p8_224", "vit_base_r50_s16_224")),
        *((name, "convolutional stem") for name in ("vit_base_mci_224", "levit_128s")),
    ],
)
def test_other_architectures_are_refused(name, reason):
    with pytest.raises(ConfigurationError, match=f"'{name}' has no tokens that could be dropped: .*{reason}"):
        token_vit(name, 7)


def test_distilled_models_cannot_average():
    # timm 1.0.30 gives no reason.
    reasons = "The distilled head reads the class and distillation tokens|timm can't make 'deit_tiny_distilled"
    with pytest.raises(ConfigurationError, match=reasons):
        averaging_vit("deit_tiny_distilled_patch16_224", 7)


class OverlappingEmbed(PatchEmbed):
    def __init__(self, *args, embed_dim, **kwargs):
        super().__init__(*args, embed_dim=embed_dim, **kwargs)
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=32, stride=16, padding=8)


def test_overlapping_patches_are_refused():
    """A patch would leak into other tokens, and no certificate would hold."""
    with pytest.raises(ConfigurationError, match="overlapping patches let a token see the pixels of its neighbours"):
        token_vit("vit_tiny_patch16_224", 7, **SMALL, embed_layer=OverlappingEmbed)


def test_subclasses_of_timms_models_are_refused(monkeypatch):
    """They may compute something else."""
    other = type("Other", (VisionTransformer,), {})
    other.pretrained_cfg = {}
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: other(**SMALL))
    with pytest.raises(ConfigurationError, match="a Other has no tokens"):
        token_vit("vit_tiny_patch16_224", 7)


@pytest.mark.parametrize("arguments", [{"num_heads": 3}, {"no_such_argument": 1}], ids=str)
def test_arguments_that_timm_refuses_are_an_error_with_the_name(arguments):
    with pytest.raises(ConfigurationError, match="timm can't make 'vit_tiny_patch16_224' with"):
        averaging_vit("vit_tiny_patch16_224", 7, **(SMALL | arguments))


@pytest.mark.parametrize("arguments", [{"global_pool": "token"}, {"in_chans": 1}, {"num_classes": 3}], ids=str)
def test_arguments_that_are_not_free_are_refused(arguments):
    with pytest.raises(ConfigurationError, match=f"not free: {next(iter(arguments))}"):
        ViTSRF("vit_tiny_patch16_224", num_classes=7, backbone_args=SMALL | arguments)


def test_images_that_are_no_whole_patches_are_refused():
    with pytest.raises(ConfigurationError, match="not whole patches"):
        averaging_vit("vit_tiny_patch16_224", 7, **(SMALL | {"img_size": 70}))


def test_unknown_names_get_similar_ones():
    with pytest.raises(ConfigurationError, match=r"timm has no model 'vit_tiny_patch17_224'; .*vit_tiny_patch16_224"):
        averaging_vit("vit_tiny_patch17_224", 7)
    with pytest.raises(ConfigurationError, match=r"timm has no model 'nonsense'; see timm.list_models"):
        averaging_vit("nonsense", 7)


def test_unknown_tags_are_refused():
    with pytest.raises(ConfigurationError, match="no_such_tag"):
        averaging_vit("vit_tiny_patch16_224.no_such_tag", 7)


def test_weights_that_cannot_be_had_are_an_error_of_the_user(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigurationError, match=r"the weights of .* can't be loaded .*model.pretrained=false"):
        averaging_vit("vit_tiny_patch16_224", 7, True)
    with pytest.raises(OSError, match="no route"):
        averaging_vit("vit_tiny_patch16_224", 7)
