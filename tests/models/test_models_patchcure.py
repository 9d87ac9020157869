"""Checkpoints of PatchCURE against an independent computation of what its code does with them."""

import argparse
import itertools
import warnings

import pytest
import torch
import torch.nn.functional as F
from noisy_srf import random_images

from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.models.patchcure import load_patchcure

DIM, HEADS, DEPTH, CLASSES, PATCH, TOKENS = 24, 2, 3, 6, 16, 4
BACKBONE = {
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"img_size": 64, "embed_dim": DIM, "depth": DEPTH, "num_heads": HEADS},
}
IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)


def their_state(split, before=4, norm_to_head=2, depth=DEPTH, dim=DIM, classes=CLASSES, seed=0):
    """Random weights, named by position as theirs.

    Args:
        split: number of SRF blocks.
        before: children before the blocks: 4 since timm 0.9 (embedding, two dropouts, norm_pre), 3 before it.
        norm_to_head: distance from fc_norm to the head: 2 since timm 0.9 (a dropout between them), 1 before it.
        depth: number of all blocks.
        dim: of the tokens.
        classes: of the head.
        seed: of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)

    def linear(name, outputs, *inputs):
        return {
            f"{name}.weight": torch.randn(outputs, *inputs, generator=generator) / inputs[0] ** 0.5,
            f"{name}.bias": 0.3 * torch.randn(outputs, generator=generator),
        }

    def norm(name):
        return {
            f"{name}.weight": 1 + 0.3 * torch.randn(dim, generator=generator),
            f"{name}.bias": 0.3 * torch.randn(dim, generator=generator),
        }

    def block(name):
        return (
            norm(f"{name}.norm1")
            | linear(f"{name}.attn.qkv", 3 * dim, dim)
            | linear(f"{name}.attn.proj", dim, dim)
            | norm(f"{name}.norm2")
            | linear(f"{name}.mlp.fc1", 4 * dim, dim)
            | linear(f"{name}.mlp.fc2", dim, 4 * dim)
        )

    state = {
        "0.pos_embed": 0.5 * torch.randn(1, 1 + TOKENS**2, dim, generator=generator),
        "0.cls_token": torch.randn(1, 1, dim, generator=generator),
    }
    state |= linear("0.pre_layers.0.proj", dim, 3, PATCH, PATCH)
    for i in range(split):
        state |= block(f"0.pre_layers.{before + i}")
    for i in range(depth - split):
        state |= block(f"1.post_layers.{i}")
    # After the blocks comes the unused norm, an identity, and then fc_norm.
    last = depth - split + 1
    return state | norm(f"1.post_layers.{last}") | linear(f"1.post_layers.{last + norm_to_head}", classes, dim)


def their_logits(state, split, window, images, hidden, pool_first=False):
    """Logits ``[image, class]`` of their data flow, written from its description (docs: recipes, section 1)."""

    def layer_norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def block(x, name):
        heads = [
            t.unflatten(2, (HEADS, -1)) for t in linear(layer_norm(x, f"{name}.norm1"), f"{name}.attn.qkv").chunk(3, 2)
        ]
        query, key, value = heads
        scores = torch.einsum("bihd,bjhd->bhij", query, key) / query.shape[-1] ** 0.5
        x = x + linear(torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), value).flatten(2), f"{name}.attn.proj")
        return x + linear(F.gelu(linear(layer_norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")), f"{name}.mlp.fc2")

    def names(half):
        found = {
            name.rsplit(".norm1", 1)[0] for name in state if name.startswith(half) and name.endswith("norm1.weight")
        }
        return sorted(found, key=lambda name: int(name.rsplit(".", 1)[1]))

    mean, std = IMAGENET
    x = F.conv2d((images - mean) / std, state["0.pre_layers.0.proj.weight"], state["0.pre_layers.0.proj.bias"], PATCH)
    grid = x.permute(0, 2, 3, 1) + state["0.pos_embed"][:, 1:].view(1, TOKENS, TOKENS, -1)

    height, width = window
    corners = [(r, c) for r in range(0, TOKENS, height) for c in range(0, TOKENS, width)]
    after, cls_tokens = torch.zeros_like(grid), []
    for (row, column), gone in zip(corners, hidden, strict=True):
        if gone:
            continue
        place = (slice(None), slice(row, row + height), slice(column, column + width))
        x = torch.cat([state["0.cls_token"].expand(len(images), -1, -1), grid[place].flatten(1, 2)], 1)
        for name in names("0."):
            x = block(x, name)
        cls_tokens.append(x[:, 0])
        after[place] = x[:, 1:].unflatten(1, window)
    x = torch.cat([torch.stack(cls_tokens).mean(0)[:, None], after.flatten(1, 2)], 1)
    for name in names("1."):
        x = block(x, name)
    norm, head = sorted(
        (n for n in state if n.startswith("1.") and n.count(".") == 3 and "weight" in n),
        key=lambda n: int(n.split(".")[2]),
    )
    norm, head = norm.removesuffix(".weight"), head.removesuffix(".weight")
    if pool_first:
        return linear(layer_norm(x[:, 1:].mean(1), norm), head)
    return linear(layer_norm(x[:, 1:], norm).mean(1), head)


def all_masks(windows):
    return [mask for mask in itertools.product([False, True], repeat=windows) if not all(mask)]


def assert_same_logits(model, state, split, window, **arguments):
    images = random_images(2)
    features = model.encode(images)
    for mask in all_masks(model.windows):
        expected = their_logits(state, split, window, images, mask, **arguments)
        hidden = torch.tensor([mask, mask])
        torch.testing.assert_close(model.classify(features, hidden), expected, rtol=1e-4, atol=1e-4)
        fast = model.classify_mutants(features, torch.tensor([0, 1]), hidden)
        torch.testing.assert_close(fast, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("window", [(4, 1), (4, 2), (2, 2)], ids=str)
@pytest.mark.parametrize("split", range(DEPTH + 1))
def test_same_logits_for_every_mask(split, window):
    state = their_state(split)
    model = load_patchcure(state, window=window, split=split, **BACKBONE).eval()
    assert (model.split, model.num_classes, model.head_order) == (split, CLASSES, "norm_pool")
    assert_same_logits(model, state, split, window)


def test_the_comparison_sees_a_difference():
    """In every part of the model, in the head order and in the window."""
    state = their_state(1)
    model, images = load_patchcure(state, window=(4, 1), **BACKBONE).eval(), random_images(1)
    mask = (True, False, False, True)
    logits = model(images, torch.tensor([mask]))
    others = {name: state | {name: value + 0.3 * torch.randn_like(value)} for name, value in state.items()}
    for name, other in others.items():
        # A softmax doesn't see what all keys have in common, and the position of the class token is never used.
        if name.endswith("qkv.bias"):
            continue
        assert (their_logits(other, 1, (4, 1), images, mask) - logits).abs().max() > 1e-3, name
    assert (their_logits(state, 1, (4, 1), images, mask, pool_first=True) - logits).abs().max() > 1e-3
    assert (their_logits(state, 1, (1, 4), images, mask) - logits).abs().max() > 1e-3


def behind(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=5e-5)},
        lambda state: {"model": state},
        lambda state: behind("module.", state),
        lambda state: {"state_dict": behind("module.", state)},
        lambda state: {"state_dict": their_state(1, seed=7), "state_dict_ema": state},
        lambda state: dict(reversed(state.items())),
    ],
    ids=["state_dict", "model", "module", "both", "ema", "other order"],
)
def test_wrapped_state_dicts_and_files(tmp_path, wrap):
    state, path = their_state(2), tmp_path / "vitsrf4x1_split2_masked.pth.tar"
    torch.save(wrap(state), path)
    images, mask = random_images(1), (False, True, False, False)
    expected = their_logits(state, 2, (4, 1), images, mask)
    for given in (wrap(state), path, str(path)):
        model = load_patchcure(given, window=(4, 1), **BACKBONE).eval()
        torch.testing.assert_close(model(images, torch.tensor([mask])), expected, rtol=1e-4, atol=1e-4)


def test_files_numbered_by_an_older_timm():
    """Without dropout layers the indices are lower, and their code pools before it normalises."""
    state = their_state(1, before=3, norm_to_head=1)
    with pytest.warns(UserWarning, match="before 0.9, .*give head_order='pool_norm'"):
        model = load_patchcure(state, window=(4, 1), **BACKBONE).eval()
    assert_same_logits(model, state, 1, (4, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_patchcure(state, window=(4, 1), head_order="pool_norm", **BACKBONE).eval()
        load_patchcure(their_state(1), window=(4, 1), **BACKBONE)
    assert_same_logits(model, state, 1, (4, 1), pool_first=True)


def test_images_are_normalised_as_theirs_whatever_the_tag():
    model = load_patchcure(their_state(1), window=(4, 1), **BACKBONE)
    assert torch.equal(torch.stack([model.mean, model.std]), IMAGENET)


def test_it_can_be_saved_as_a_checkpoint_of_ours():
    model = load_patchcure(their_state(2), window=(4, 2), **BACKBONE)
    config = describe_model(model)["config"]
    assert config["split"] == 2
    assert config["head_order"] == "norm_pool"
    assert config["num_classes"] == CLASSES
    twin = type(model)(**config).eval()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(random_images(1)), model.eval()(random_images(1)))


def test_the_given_state_dict_stays_as_it_was():
    state = their_state(1)
    copies = {name: value.clone() for name, value in state.items()}
    model = load_patchcure(state, window=(4, 1), **BACKBONE)
    for parameter in model.parameters():
        parameter.data.zero_()
    assert all(torch.equal(state[name], copies[name]) for name in copies)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"split": 2}, "the state dict has split 1, not 2"),
        ({"num_classes": 10}, "the state dict has num_classes 6, not 10"),
    ],
)
def test_settings_that_are_not_the_files_are_refused(given, message):
    with pytest.raises(CheckpointError, match=message):
        load_patchcure(their_state(1), window=(4, 1), **given, **BACKBONE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 5}, r"24 unexpected: blocks\.3\.norm1\.weight"),
        ({"depth": 2}, r"12 missing: blocks\.2\.norm1\.weight"),
        ({"dim": 32}, r"of another shape: .*cls_token \[1, 1, 32\] instead of \[1, 1, 24\]"),
    ],
    ids=str,
)
def test_another_backbone_is_refused(change, message):
    with pytest.raises(CheckpointError, match=message) as error:
        load_patchcure(their_state(change.get("depth", 1), **change), window=(4, 1), **BACKBONE)
    assert "the state dict doesn't fit vit_tiny_patch16_224:" in str(error.value)


def test_a_window_that_does_not_divide_the_tokens_is_refused():
    with pytest.raises(ConfigurationError, match=r"a window of .* doesn't divide the token grid"):
        load_patchcure(their_state(1), window=(3, 1), **BACKBONE)


def changed(*lacking, **more):
    return {name: value for name, value in their_state(1).items() if not name.startswith(lacking or "-")} | more


VECTOR = torch.ones(DIM)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed("0.cls_token"), r"found it without 0\.cls_token\. Plain timm weights are read by ViTSRF"),
        (changed("0.pre_layers"), r"not laid out as PatchCURE's .* found it without layers"),
        (changed("1."), r"not laid out as PatchCURE's .* found it without layers"),
        (changed(fc_norm=VECTOR), r"found it with fc_norm"),
        (changed(**{"2.post_layers.1.weight": VECTOR}), r"found it with 2\.post_layers\.1\.weight"),
        (changed(**{"1.pre_layers.1.weight": VECTOR}), r"found it with 1\.pre_layers\.1\.weight"),
        ({name[2:]: value for name, value in their_state(1).items()}, r"found it without 0\.cls_token, 0\.pos_embed"),
        (changed("1.post_layers.5"), r"has no head in 1\.post_layers"),
        (changed(**{"1.post_layers.9.weight": VECTOR}), r"a second layer of the kind fc_norm at 1\.post_layers\.9"),
        (changed(**{"1.post_layers.9.gamma": VECTOR}), r"a layer of an unknown kind at 1\.post_layers\.9: gamma"),
        (changed(**{"0.pre_layers.3.weight": VECTOR}), r"1 unexpected: norm_pre\.weight"),
        ({"epoch": 3}, r"the state dict holds no state dict"),
    ],
)
def test_other_layouts_are_refused(state, message):
    with pytest.raises(CheckpointError, match=message):
        load_patchcure(state, window=(4, 1), **BACKBONE)


def test_a_pickled_model_is_refused_with_an_explanation(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(1, 1), path)
    with pytest.raises(CheckpointError, match=r"Python objects .*Linear.*Unpickling those can run any code"):
        load_patchcure(path, window=(4, 1), **BACKBONE)
    with pytest.raises(CheckpointError, match="there is no weights file"):
        load_patchcure(tmp_path / "none.pth", window=(4, 1), **BACKBONE)
