"""Two views: the average of a mutant and of its mirror image."""

from typing import Any

import pytest
import torch
from noisy_srf import SMALL, noisy_srf

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.checkpoints import Checkpoint, describe_model, restore

KINDS: dict[str, Any] = {
    "srf": (ViTSRF, {"window": (4, 1), "split": 1}),
    "srf, dropped": (ViTSRF, {"window": (2, 2), "split": 1, "hidden_tokens": "drop"}),
    "masked": (MaskedViT, {}),
    "rotary": (MaskedViT, {"backbone": "vit_small_patch16_rope_224"}),
    "ablated": (AblatedViT, {"width": 19}),
}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def pair(name: str) -> tuple[Any, Any]:
    """A model with one view, and the same weights with two."""
    if name == "blackbox":
        settings = {"backbone": "test_resnet", "num_classes": 5, "patch": 15, "masks_per_axis": 3, "image_px": (64, 64)}
        kind: Any = BlackBox
    else:
        kind, chosen = KINDS[name]
        settings = {"backbone": "vit_tiny_patch16_224", "num_classes": 5, "backbone_args": SMALL} | chosen
    torch.manual_seed(0)
    one = kind(**settings).eval()
    for parameter in one.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    two = kind(**settings, views="flip").eval()
    two.load_state_dict(one.state_dict())
    return one, two


def masks(model: Any, rows: int) -> torch.Tensor:
    if isinstance(model, AblatedViT):
        return model.ablations(7).hidden[1 : rows + 1]
    hidden = torch.rand(rows, model.windows) < 0.4
    hidden[:, -1] = False
    return hidden


def hidden_pixels(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    if isinstance(model, AblatedViT):
        rows, columns = hidden.split(model.image_px, dim=1)
        return rows[:, :, None] | columns[:, None]
    heights, widths = (torch.tensor(list(along)).diff() for along in model.borders)
    grid = hidden.unflatten(1, (len(heights), len(widths)))
    return grid.repeat_interleave(heights, 1).repeat_interleave(widths, 2)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_the_average_with_the_mirror_image(name: str) -> None:
    """The mirrored windows are those whose pixels are the mirrored pixels."""
    one, two = pair(name)
    images, hidden = torch.rand(4, 3, 64, 64), masks(one, 4)
    mirrored = one.mirrored(hidden)
    assert torch.equal(hidden_pixels(one, mirrored), hidden_pixels(one, hidden).flip(2))
    expected = (one(images, hidden) + one(images.flip(3), mirrored)) / 2
    assert not torch.allclose(expected, one(images, hidden), atol=1e-4)
    features = two.encode(images)
    torch.testing.assert_close(two.classify(features, hidden), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(two.classify_visible(features, hidden), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(two(images, hidden), expected, rtol=1e-4, atol=1e-5)
    for row in range(4):
        fast = two.classify_mutants(features, torch.tensor([row]), hidden[row, None])
        torch.testing.assert_close(fast, expected[row, None], rtol=1e-4, atol=1e-5)
    assert (two.mutant_tokens(hidden) == 2 * one.mutant_tokens(hidden)).all()
    assert (two.mutant_flops(hidden) == 2 * one.mutant_flops(hidden)).all()
    assert two.encode_flops() == 2 * one.encode_flops()


def test_a_black_box_mirrors_its_painted_images() -> None:
    """Its cells need no symmetry."""
    one, two = pair("blackbox")
    images, hidden = torch.rand(3, 3, 64, 64), masks(one, 3)
    pixels = ((images - one.mean) / one.std).masked_fill(hidden_pixels(one, hidden)[:, None], 0.0)
    expected = (one.net(pixels) + one.net(pixels.flip(3))) / 2
    torch.testing.assert_close(two(images, hidden), expected)
    assert (two.mutant_flops(hidden) == 2 * one.mutant_flops(hidden)).all()


@pytest.mark.parametrize("name", [*KINDS, "blackbox"])
def test_hidden_pixels_have_no_effect_in_either_view(name: str) -> None:
    _, two = pair(name)
    images, hidden = torch.rand(3, 3, 64, 64), masks(two, 3)
    patched = images.masked_fill(hidden_pixels(two, hidden)[:, None], torch.nan)
    for row in range(3):
        mutants = [
            two.classify_mutants(two.encode(x), torch.tensor([row]), hidden[row, None]) for x in (patched, images)
        ]
        assert mutants[0].isfinite().all()
        assert torch.equal(*mutants)


def test_training_has_one_view() -> None:
    one, two = pair("srf")
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(two.train()(images), one.train()(images))


def test_views_are_part_of_the_description_and_the_weights_fit_both(tmp_path) -> None:
    """So stored labels of the two are kept apart, and one checkpoint serves both."""
    one, two = pair("srf")
    assert describe_model(one) != describe_model(two)
    assert "views" not in describe_model(one)["config"]
    restore(two, Checkpoint(tmp_path / "x.ckpt", describe_model(one), one.state_dict()))
    twin = ViTSRF(**two.config)
    restore(twin, Checkpoint(tmp_path / "x.ckpt", describe_model(two), two.state_dict()))


def test_unknown_views_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown views 'rotate'; choose one of: flip, one"):
        noisy_srf(views="rotate")


def test_masks_are_those_of_one_view() -> None:
    one, two = pair("masked")
    assert one.covering_masks(PatchSpec(16)) == two.covering_masks(PatchSpec(16))
