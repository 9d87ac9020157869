from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import Ablations
from mrcert_pl.models import AblatedViT

ARGUMENTS = {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2}
POOLS = ["avg", "token"]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def noisy(arguments: dict | None = None, **settings: object) -> AblatedViT:
    """4x4 tokens; noise on the weights, so that positions, biases and norms matter."""
    settings = {"backbone": "vit_tiny_patch16_224", "num_classes": 5, **settings}
    model = AblatedViT(**settings, backbone_args=ARGUMENTS | (arguments or {})).eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return model


def hidden_of(model: AblatedViT, *votes: int) -> Tensor:
    """Every given vote, by its offset."""
    return model.ablations().hidden[[1 + vote for vote in votes]]


def close(actual: Tensor, expected: Tensor, absolute: float = 1e-5) -> None:
    assert expected.std() > 1e-2
    torch.testing.assert_close(actual, expected, rtol=0, atol=absolute)


def timm_twin(model: AblatedViT) -> Any:
    """timm's own model with the same weights."""
    vit = timm.create_model(model.config["backbone"], num_classes=5, **model.config["backbone_args"]).eval()
    vit.load_state_dict(model.vit.state_dict())
    return vit


def reference(model: AblatedViT, image: Tensor, hidden: Tensor) -> Tensor:
    """Logits of one image, from timm's own modules and one pixel mask: dropped tokens are cut out of the sequence."""
    vit, height = timm_twin(model), model.image_px[0]
    mean, std = (torch.tensor(vit.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    visible = ~hidden[:height, None] & ~hidden[height:]
    black, grey = (image * visible - mean) / std, (image - mean) / std * visible
    pixels = black if model.fill == "black" else grey
    tokens = vit._pos_embed(vit.patch_embed(pixels[None]))
    if model.token_mode == "drop":
        keep = visible.view(4, 16, 4, 16).any(3).any(1).flatten()
        tokens = tokens[:, torch.cat([torch.ones(vit.num_prefix_tokens, dtype=torch.bool), keep])]
    return vit.forward_head(vit.norm(vit.blocks(vit.norm_pre(tokens))))[0]


@pytest.mark.parametrize("token_mode", ["drop", "mask"])
@pytest.mark.parametrize("fill", ["black", "mean"])
@pytest.mark.parametrize("kind", ["column", "row", "both", "block"])
@pytest.mark.parametrize("pool", POOLS)
def test_every_path_is_timms_vit_on_the_visible_pixels(token_mode: str, fill: str, kind: str, pool: str) -> None:
    model = noisy({"global_pool": pool}, token_mode=token_mode, fill=fill, kind=kind)
    hidden = torch.cat([model.ablations(13).hidden[:6], hidden_of(model, 1, 15, 50, 63)])
    images = torch.rand(len(hidden), 3, 64, 64)
    before = images.clone()
    expected = torch.stack([reference(model, *row) for row in zip(images, hidden, strict=True)])
    features = model.encode(images)
    close(model(images, hidden), expected)
    close(model.classify(features, hidden), expected)
    for row in range(len(hidden)):
        close(model.classify_mutants(features, torch.tensor([row]), hidden[row, None]), expected[row, None])
    assert torch.equal(images, before)


def test_dropping_is_masking_without_attention_to_the_dropped_tokens() -> None:
    """In double precision, for all offsets: 2 or 3 of the columns remain, and 16 or more px of two that are visible."""
    model = noisy(token_mode="drop").double()
    hidden = model.ablations().hidden[1:]
    images = torch.rand(len(hidden), 3, 64, 64).double()
    close(model(images, hidden), model.classify(model.encode(images), hidden), 1e-12)
    assert set(model.mutant_tokens(hidden).tolist()) == {1 + 2 * 4, 1 + 3 * 4}
    masked = AblatedViT(**{**model.config, "token_mode": "mask"}).double().eval()
    masked.load_state_dict(model.state_dict())
    assert (masked(images, hidden) - model(images, hidden)).abs().min() > 0
    assert masked.mutant_tokens(hidden).unique().tolist() == [17]


@pytest.mark.parametrize("token_mode", ["drop", "mask"])
@pytest.mark.parametrize(
    "settings",
    [
        {"arguments": {"global_pool": "avg"}},
        {"arguments": {"global_pool": "token"}},
        {"arguments": {"no_embed_class": True}},
        {"arguments": {"reg_tokens": 2}},
        {"arguments": {"class_token": False, "global_pool": "avg"}},
        {"backbone": "deit_tiny_patch16_224"},
    ],
    ids=str,
)
def test_with_nothing_hidden_it_is_timms_model(settings: dict, token_mode: str) -> None:
    model = noisy(**settings, token_mode=token_mode)
    images = torch.rand(3, 3, 64, 64)
    expected = timm_twin(model)((images - model.mean) / model.std)
    close(model(images), expected)
    close(model.classify(model.encode(images), torch.zeros(3, 128, dtype=torch.bool)), expected)


@pytest.mark.parametrize("token_mode", ["drop", "mask"])
def test_a_hidden_pixel_changes_nothing(token_mode: str) -> None:
    model = noisy(token_mode=token_mode)
    hidden = hidden_of(model, 7).expand(2, -1)
    images = torch.rand(1, 3, 64, 64).repeat(2, 1, 1, 1)
    images[1, :, :, :7] = 0.3
    images[1, :, :, 26:] = 0.8
    logits = model(images, hidden)
    assert torch.equal(logits[0], logits[1])
    images[1, :, 0, 25] += 0.1
    logits = model(images, hidden)
    assert not torch.equal(logits[0], logits[1])


def test_every_token_keeps_its_position() -> None:
    """The same pixels, shown a token column further to the right, are something else."""
    model = noisy()
    images = torch.rand(1, 3, 64, 16).repeat(1, 1, 1, 4)
    left, right = model(images, hidden_of(model, 0)), model(images, hidden_of(model, 16))
    assert (left - right).abs().max() > 1e-2


def test_every_image_has_its_own_ablation_and_the_others_do_not_matter() -> None:
    model = noisy()
    images, hidden = torch.rand(6, 3, 64, 64), hidden_of(model, 0, 14, 1, 15, 62, 30)
    together = model(images, hidden)
    alone = torch.cat([model(images[i, None], hidden[i, None]) for i in range(6)])
    close(together, alone)


def test_only_visible_tokens_are_computed() -> None:
    model, lengths = noisy(), []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    model(torch.rand(4, 3, 64, 64), hidden_of(model, 0, 1, 14, 15))
    assert sorted(lengths) == [1 + 2 * 4, 1 + 3 * 4]


def test_the_settings_come_back_from_the_configuration() -> None:
    model = noisy(token_mode="mask", fill="mean", kind="both", width=10)
    again = AblatedViT(**model.config)
    assert again.config == model.config
    assert (again.token_mode, again.fill) == ("mask", "mean")
    expected = Ablations((64, 64), 10, 3, "both")
    assert again.ablations(3).identity() == expected.identity()


def test_gradients_reach_every_weight() -> None:
    model = noisy({"global_pool": "avg"})
    with torch.enable_grad():
        model(torch.rand(4, 3, 64, 64), hidden_of(model, 0, 14, 15, 33)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"token_mode": "merge"}, "unknown token mode 'merge'; choose one of: drop, mask"),
        ({"fill": "grey"}, "unknown fill 'grey'; choose one of: black, mean"),
        ({"kind": "diagonal"}, "unknown kind of ablation"),
        ({"width": 65}, "from 1 to 64 px, not 65"),
        ({"arguments": {"img_size": 60}}, "60.* px are not whole patches|can't make"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        noisy(**settings)


def test_bad_inputs() -> None:
    model = noisy()
    with pytest.raises(ConfigurationError, match=r"shape \[image, 3, 64, 64\], not torch.float32 \[1, 3, 64, 60\]"):
        model(torch.rand(1, 3, 64, 60))
    with pytest.raises(ConfigurationError, match=r"not torch\.uint8"):
        model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(ConfigurationError, match=r"hidden must be \[1, 128\], not \[1, 64\]"):
        model(torch.rand(1, 3, 64, 64), torch.zeros(1, 64, dtype=torch.bool))
    rows = torch.zeros(1, 128, dtype=torch.bool)
    rows[:, :64] = True
    with pytest.raises(ConfigurationError, match="nothing to classify"):
        model(torch.rand(1, 3, 64, 64), rows)
    with pytest.raises(ConfigurationError, match="same number of tokens"):
        model.classify_mutants(model.encode(torch.rand(2, 3, 64, 64)), torch.arange(2), hidden_of(model, 0, 15))
