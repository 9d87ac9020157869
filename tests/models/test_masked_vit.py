import pytest
import timm
import torch
import torch.nn.functional as F
from noisy_srf import SMALL, noisy_srf, random_images

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import MaskedViT
from mrcert_pl.models.flops import window_fractions

# Every kind of plain ViT that timm has: pooling, registers, positions, other patches, norms and blocks.
KINDS = [
    pytest.param("deit_tiny_patch16_224", {}, id="class token"),
    pytest.param("vit_tiny_patch16_224", {"global_pool": "avg"}, id="average"),
    pytest.param("vit_tiny_patch16_224", {"reg_tokens": 3}, id="registers with positions"),
    pytest.param("vit_small_patch14_reg4_dinov2", {"img_size": 56}, id="registers without"),
    pytest.param("deit3_small_patch16_224", {}, id="no position of the class token"),
    pytest.param("vit_base_patch16_clip_224", {}, id="norm before the blocks"),
    pytest.param("vit_base_patch16_siglip_gap_224", {}, id="no class token"),
    pytest.param("vit_small_patch16_18x2_224", {}, id="parallel blocks"),
    pytest.param("vit_base_patch32_224", {"img_size": (64, 128)}, id="patches of 32 px"),
    pytest.param("vit_tiny_patch16_224", {"pos_embed": "none", "global_pool": "avg"}, id="no positions"),
    pytest.param("vit_tiny_patch16_224", {"global_pool": "avg", "pool_include_prefix": True}, id="average of all"),
    pytest.param("vit_tiny_patch16_224", {"dynamic_img_size": True}, id="any image size"),
]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def noisy_vit(backbone="deit_tiny_patch16_224", backbone_args=None, noise=0.3, **settings):
    """Noise on all parameters: as initialised, biases are 0 and norms 1, and errors with them don't show."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        arguments = SMALL | (backbone_args or {})
        model = MaskedViT(backbone, num_classes=5, backbone_args=arguments, **settings).eval()
        for parameter in model.parameters():
            parameter.data += noise * torch.randn_like(parameter)
    return model


def images_for(model, n, seed=0):
    return torch.rand(n, 3, *model.image_px, generator=torch.Generator().manual_seed(seed))


def timm_twin(model):
    """timm's own model with the same weights, and a function that normalises for it."""
    weights = model.state_dict()
    mean, std = weights.pop("mean"), weights.pop("std")
    config = model.config
    vit = timm.create_model(config["backbone"], num_classes=config["num_classes"], **config["backbone_args"]).eval()
    vit.to(mean.dtype).load_state_dict(weights)
    return vit, lambda images: (images - mean) / std


def reference_logits(model, images, hidden):
    """timm's own parts, one image at a time, with the tokens of hidden windows cut out of the sequence."""
    vit, normalised = timm_twin(model)
    height, width = model.window
    logits = []
    for image, mask in zip(images, hidden, strict=True):
        tokens = mask.view(model.grid).repeat_interleave(height, 0).repeat_interleave(width, 1).flatten()
        x = vit._pos_embed(vit.patch_embed(normalised(image[None])))
        kept = torch.cat([torch.ones(vit.num_prefix_tokens, dtype=torch.bool), ~tokens])
        x = vit.norm_pre(x)[:, kept]
        logits.append(vit.forward_head(vit.norm(vit.blocks(x))))
    return torch.cat(logits)


def random_masks(n, windows, seed=0):
    """Masks of very different sizes; each leaves at least one window."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand(n, windows, generator=generator) < torch.linspace(0, 0.95, n)[:, None]
    hidden[torch.arange(n), torch.randint(windows, (n,), generator=generator)] = False
    return hidden


@pytest.mark.parametrize(("backbone", "arguments"), KINDS)
def test_with_nothing_hidden_it_is_the_model_of_timm(backbone, arguments):
    model = noisy_vit(backbone, arguments)
    images = images_for(model, 3)
    vit, normalised = timm_twin(model)
    expected = vit(normalised(images))
    assert (expected.amax(1) - expected.amin(1)).min() > 1e-2
    torch.testing.assert_close(model(images), expected, rtol=1e-6, atol=1e-6)
    features, shown = model.encode(images), torch.zeros(3, model.windows, dtype=torch.bool)
    torch.testing.assert_close(model.classify_mutants(features, torch.arange(3), shown), expected, rtol=1e-6, atol=1e-6)


def test_it_is_equal_to_timm_to_the_last_bit():
    model, images = noisy_vit(), random_images(3)
    vit, normalised = timm_twin(model)
    assert torch.equal(model(images), vit(normalised(images)))


@pytest.mark.parametrize(("backbone", "arguments"), KINDS)
def test_hidden_tokens_are_cut_out_of_the_sequence(backbone, arguments):
    """Both paths against a loop over timm's parts; the training path has masks of all sizes in one batch."""
    model = noisy_vit(backbone, arguments)
    images, hidden = images_for(model, 9), random_masks(9, model.windows)
    expected = reference_logits(model, images, hidden)
    torch.testing.assert_close(model(images, hidden), expected, rtol=1e-4, atol=1e-4)
    features = model.encode(images)
    one_by_one = [model.classify_mutants(features, torch.tensor([i]), hidden[i : i + 1]) for i in range(9)]
    torch.testing.assert_close(torch.cat(one_by_one), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (4, 1), (1, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
def test_fast_path_is_the_padded_path_for_every_union(window, dtype, tolerance):
    model = noisy_vit(window=window).to(dtype)
    hidden = UnionLattice(model.covering_masks(PatchSpec(16)), model.windows, order=2, allow_blind=True).hidden
    hidden = hidden[~hidden.all(1)]
    images = random_images(2).to(dtype)
    features = model.encode(images)
    image = torch.arange(len(hidden)) % 2
    padded = model.classify(features[image], hidden)
    shown = (~hidden).sum(1)
    for count in shown.unique():
        rows = shown == count
        fast = model.classify_mutants(features, image[rows], hidden[rows])
        torch.testing.assert_close(fast, padded[rows], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(reference_logits(model, images[image], hidden), padded, rtol=tolerance, atol=tolerance)


def pixels_of(model, windows):
    """``[height, width]``: the pixels of windows ``[window]``."""
    (height, width) = model.window_px
    return windows.view(model.grid).repeat_interleave(height, 0).repeat_interleave(width, 1)


@pytest.mark.parametrize("patch", [0.0, 1.0, 1e30, float("nan")], ids=str)
@pytest.mark.parametrize("window", [(1, 1), (2, 2)])
def test_pixels_of_hidden_windows_have_no_influence_at_all(window, patch):
    """Equal to the last bit, alone and beside images that show more, where hidden windows are padding."""
    model, images = noisy_vit(window=window), random_images(6)
    hidden = random_masks(6, model.windows, seed=1)
    patched = torch.stack(
        [image.masked_fill(pixels_of(model, h), patch) for image, h in zip(images, hidden, strict=True)]
    )
    assert not torch.equal(patched[-1], images[-1])
    assert torch.equal(model(patched, hidden), model(images, hidden))
    for i in range(6):
        mutants = [
            model.classify_mutants(model.encode(x), torch.tensor([i]), hidden[i : i + 1]) for x in (patched, images)
        ]
        assert torch.equal(*mutants)


def test_pixels_of_visible_windows_have_influence():
    model, images = noisy_vit(), random_images(1)
    hidden = torch.zeros(1, 16, dtype=torch.bool)
    hidden[0, :8] = True
    shown = torch.where(pixels_of(model, ~hidden[0]), random_images(1, seed=1), images)
    assert not torch.allclose(model(shown, hidden), model(images, hidden))


@torch.enable_grad()
def test_gradients_reach_all_parameters_and_the_visible_pixels_only():
    model, images = noisy_vit("vit_tiny_patch16_224", {"reg_tokens": 2}).train(), random_images(6).requires_grad_()
    hidden = random_masks(6, model.windows)
    F.cross_entropy(model(images, hidden), torch.arange(6) % 5).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    for image, mask in zip(images.grad, hidden, strict=True):
        assert torch.equal(image.ne(0).any(0), ~pixels_of(model, mask))


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (4, 1), (4, 4)])
def test_vit_srf_without_srf_blocks_that_drops_is_it(window):
    """But for the position of the class token, which ViT-SRF never adds."""
    srf = noisy_srf(split=0, window=window, hidden_tokens="drop")
    model = MaskedViT(
        "vit_tiny_patch16_224", num_classes=5, window=window, backbone_args=SMALL | {"global_pool": "avg"}
    ).eval()
    weights = srf.state_dict()
    weights["pos_embed"][:, 0] = 0
    model.load_state_dict(weights)
    images, hidden = random_images(7), random_masks(7, model.windows)
    torch.testing.assert_close(srf(images, hidden), model(images, hidden), rtol=1e-4, atol=1e-4)


def test_description_of_the_layout():
    model = noisy_vit("vit_small_patch14_reg4_dinov2", {"img_size": 56}, window=(2, 1))
    assert model.grid == (2, 4)
    assert model.windows == 8
    assert model.window_px == (28, 14)
    assert model.image_px == (56, 56)
    assert float(window_fractions(model.borders).sum()) == 1
    hidden = torch.tensor([[True, True, False, False, False, False, False, False]])
    assert model.mutant_tokens(hidden).tolist() == [6 * 2 + 5]
    assert model.no_weight_decay() == {"pos_embed", "cls_token", "reg_token"}
    twin = MaskedViT(**model.config)
    twin.load_state_dict(model.state_dict())


def test_pretrained_weights_are_taken_as_timm_takes_them(tmp_path):
    """The class token's norm stays ``norm``; a model that averages gets it as ``fc_norm``."""
    vit = timm.create_model("deit_tiny_patch16_224", num_classes=9, **SMALL).eval()
    torch.save(vit.state_dict(), tmp_path / "deit.pth")
    settings = {"num_classes": 9, "weights": tmp_path / "deit.pth"}
    model = MaskedViT("deit_tiny_patch16_224", backbone_args=SMALL, **settings).eval()
    images = random_images(2)
    assert torch.equal(model(images), vit((images - model.mean) / model.std))
    rows = MaskedViT("deit_tiny_patch16_224", backbone_args=SMALL, **settings | {"num_classes": 2}, head_rows=[8, 0])
    torch.testing.assert_close(rows.eval()(images), model(images)[:, [8, 0]])
    averaging = MaskedViT("deit_tiny_patch16_224", backbone_args=SMALL | {"global_pool": "avg"}, **settings)
    assert torch.equal(averaging.fc_norm.weight, vit.norm.weight)
    torch.save(averaging.state_dict(), tmp_path / "ours.pth")
    back = MaskedViT("deit_tiny_patch16_224", num_classes=9, backbone_args=SMALL, weights=tmp_path / "ours.pth")
    assert torch.equal(back.norm.weight, vit.norm.weight)


@pytest.mark.parametrize(
    ("backbone", "arguments", "message"),
    [
        ("resnet50", {}, "'resnet50' has no tokens that could be dropped: a ResNet has no tokens.*model=blackbox"),
        ("swin_tiny_patch4_window7_224", {}, "attends within windows"),
        ("vit_base_r50_s16_224", {}, "convolutional stem"),
        (
            "vit_tiny_patch16_224",
            {"global_pool": "avgmax"},
            r"pools by 'avgmax'.* give \+\+model\.backbone_args\.global_pool=avg",
        ),
        ("vit_tiny_patch16_224", {"img_size": 70}, "not whole patches"),
    ],
)
def test_backbones_without_a_token_grid_are_refused(backbone, arguments, message):
    with torch.device("meta"), pytest.raises(ConfigurationError, match=message):
        MaskedViT(backbone, num_classes=5, backbone_args=arguments)


def test_windows_that_do_not_divide_the_grid_are_refused():
    with pytest.raises(ConfigurationError, match=r"\(3, 1\) tokens doesn't divide .* heights that do: \[1, 2, 4\]"):
        noisy_vit(window=(3, 1))


def test_mutants_that_do_not_fit_are_refused():
    model = noisy_vit()
    features = model.encode(random_images(2))
    with pytest.raises(ConfigurationError, match="all windows of an image are hidden"):
        model.classify(features, torch.ones(2, 16, dtype=torch.bool))
    with pytest.raises(ConfigurationError, match=r"hidden must be \[2, 16\]"):
        model.classify(features, torch.zeros(2, 15, dtype=torch.bool))
    with pytest.raises(ConfigurationError, match="same number of windows"):
        model.classify_mutants(features, torch.arange(2), torch.arange(16) < torch.tensor([[1], [2]]))
    with pytest.raises(ConfigurationError, match="images must be floats"):
        model.encode(torch.zeros(1, 3, 64, 48))
