"""ViT-SRF with windows of every shape, any split, and hidden tokens zeroed or dropped."""

import pytest
import torch
from noisy_srf import SMALL, noisy_srf, random_images

from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import Checkpoint, describe_model, restore

WINDOWS = [(1, 1), (2, 2), (4, 1), (4, 2)]
SPLITS = [0, 1, 3]
HEAD_ORDERS = ["pool_norm", "norm_pool"]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def masks_of_all_sizes(model, order=2):
    lattice = UnionLattice(model.covering_masks(PatchSpec(16)), model.windows, order, allow_blind=True)
    return lattice.hidden[~lattice.hidden.all(1)]


def dropped_logits(model, features, hidden):
    """One image at a time: the visible windows' tokens and their mean class token, nothing else."""
    logits = []
    for windows, mask in zip(features, hidden, strict=True):
        seen = windows[~mask]
        x = torch.cat([seen[:, 0].mean(0, keepdim=True), seen[:, 1:].flatten(0, 1)])[None]
        for block in list(model.blocks)[model.split :]:
            x = block(x)
        tokens = x[:, 1:]
        norm = model.fc_norm
        logits.append(model.head(norm(tokens).mean(1) if model.head_order == "norm_pool" else norm(tokens.mean(1))))
    return torch.cat(logits)


@pytest.mark.parametrize("head_order", HEAD_ORDERS)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("window", WINDOWS)
def test_dropped_tokens_are_not_there_at_all(window, split, head_order):
    model = noisy_srf(window=window, split=split, head_order=head_order, hidden_tokens="drop")
    hidden = masks_of_all_sizes(model)
    images = random_images(2)
    features = model.encode(images)
    image = torch.arange(len(hidden)) % 2
    expected = dropped_logits(model, features[image], hidden)
    torch.testing.assert_close(model.classify(features[image], hidden), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model(images[image], hidden), expected, rtol=1e-4, atol=1e-4)
    tokens = model.mutant_tokens(hidden)
    for count in tokens.unique():
        rows = tokens == count
        fast = model.classify_mutants(features, image[rows], hidden[rows])
        torch.testing.assert_close(fast, expected[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", WINDOWS)
def test_with_nothing_hidden_both_ways_are_one_model(window):
    zero, drop = noisy_srf(window=window), noisy_srf(window=window, hidden_tokens="drop")
    images = random_images(3)
    torch.testing.assert_close(zero(images), drop(images), rtol=1e-5, atol=1e-5)
    hidden = torch.zeros(3, zero.windows, dtype=torch.bool)
    hidden[:, 0] = True
    assert not torch.allclose(zero(images, hidden), drop(images, hidden), atol=1e-3)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("window", WINDOWS)
def test_pixels_of_hidden_windows_have_no_influence_when_dropped(window, split):
    model, images = noisy_srf(window=window, split=split, hidden_tokens="drop"), random_images(4)
    (rows, columns), (height, width) = model.grid, model.window_px
    hidden = torch.rand(4, model.windows, generator=torch.Generator().manual_seed(0)) < 0.5
    hidden[:, 0], hidden[:, -1] = False, True
    pixels = hidden.view(4, 1, rows, columns).repeat_interleave(height, 2).repeat_interleave(width, 3)
    patched = images.masked_fill(pixels, float("nan"))
    assert torch.equal(model(patched, hidden), model(images, hidden))
    for i in range(4):
        one = [model.classify_mutants(model.encode(x), torch.tensor([i]), hidden[i : i + 1]) for x in (patched, images)]
        assert torch.equal(*one)


def test_dropped_tokens_cost_nothing():
    zero, drop = noisy_srf(), noisy_srf(hidden_tokens="drop")
    hidden = torch.tensor([[False, False, False, False], [True, False, False, False]])
    assert zero.mutant_tokens(hidden).tolist() == [17, 14]
    assert drop.mutant_tokens(hidden).tolist() == [17, 13]


def test_unknown_ways_to_hide_are_refused():
    with pytest.raises(ConfigurationError, match="unknown hidden_tokens 'blur'; choose one of: drop, zero"):
        noisy_srf(hidden_tokens="blur")


def test_the_way_to_hide_belongs_to_the_checkpoint(tmp_path):
    zero, drop = noisy_srf(), noisy_srf(hidden_tokens="drop")
    saved = Checkpoint(tmp_path / "x.ckpt", describe_model(drop), drop.state_dict())
    restore(ViTSRF(**drop.config), saved)
    with pytest.raises(CheckpointError, match="hidden_tokens: 'drop' in the checkpoint, 'zero' in the configuration"):
        restore(zero, saved)


def test_checkpoints_from_before_there_was_a_choice_are_zero(tmp_path):
    zero, drop = noisy_srf(seed=1), noisy_srf(hidden_tokens="drop")
    old = describe_model(zero)
    del old["config"]["hidden_tokens"]
    fresh = noisy_srf()
    saved = Checkpoint(tmp_path / "x.ckpt", old, zero.state_dict())
    restore(fresh, saved)
    assert torch.equal(fresh(random_images(1)), zero(random_images(1)))
    with pytest.raises(CheckpointError, match="hidden_tokens: 'zero' in the checkpoint, 'drop' in the configuration"):
        restore(drop, saved)


@pytest.mark.parametrize(
    ("window", "patch", "stride"),
    [
        ((14, 1), 32, 1),
        ((14, 2), 16, 1),
        ((2, 2), 32, 1),
        ((2, 2), 32, 2),
        ((7, 7), 32, 1),
        ((1, 1), 32, 3),
        ((1, 1), 16, 4),
    ],
)
def test_every_listed_window_covers_the_patch(window, patch, stride):
    """At the real size of 14x14 tokens; the check itself goes over every pixel."""
    arguments = {name: value for name, value in SMALL.items() if name != "img_size"}
    with torch.device("meta"):
        model = ViTSRF("vit_tiny_patch16_224", num_classes=5, window=window, split=1, backbone_args=arguments)
    masks = model.covering_masks(PatchSpec(patch), stride)
    rows, columns = model.grid
    for top in range(0, 225 - patch):
        for left in {0, 7, 15, 16, 31, 100, 224 - patch}:
            touched = {
                (y // model.window_px[0]) * columns + x // model.window_px[1]
                for y in (*range(top, top + patch, 8), top + patch - 1)
                for x in (*range(left, left + patch, 8), left + patch - 1)
            }
            needed = sum(1 << window for window in touched)
            assert any(needed & ~mask == 0 for mask in masks), (top, left)
    assert max(masks) < 1 << (rows * columns)
