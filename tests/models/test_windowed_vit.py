"""What Vision Transformers with windows of tokens share: windows, masks, order and padding of what is visible."""

import pytest
import torch
from noisy_srf import SMALL, noisy_srf, random_images

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import MaskedViT
from mrcert_pl.models.windowed_vit import visible_first


def masked(window=(2, 1)):
    torch.manual_seed(0)
    model = MaskedViT("vit_tiny_patch16_224", num_classes=5, window=window, backbone_args=SMALL).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def test_grid_and_borders_of_the_windows():
    model = masked((2, 1))
    assert (model.grid, model.windows, model.window_px) == ((2, 4), 8, (32, 16))
    assert tuple(map(tuple, model.borders)) == ((0, 32, 64), (0, 16, 32, 48, 64))


@pytest.mark.parametrize("window", [(1, 1), (2, 1), (2, 4)], ids=str)
def test_the_features_of_a_window_are_its_tokens_row_by_row(window):
    model, images = masked(window), random_images(2)
    tokens = model.embed(images).unflatten(1, (4, 4))
    windows = model.embed_windows(images)
    height, width = window
    for number in range(model.windows):
        row, column = divmod(number, model.grid[1])
        part = tokens[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert torch.equal(windows[:, number], part.flatten(1, 2))


def test_the_visible_windows_come_first_each_kind_in_order():
    hidden = torch.tensor([[True, False, True, False], [False, False, False, True], [True] * 4])
    assert visible_first(hidden).tolist() == [[1, 3, 0, 2], [0, 1, 2, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("model", [masked, noisy_srf])
def test_a_padded_batch_has_the_logits_of_each_image_alone(model):
    model = model()
    images = random_images(9)
    hidden = torch.rand(9, model.windows, generator=torch.Generator().manual_seed(1)) < 0.5
    hidden[:, 0] = False
    assert hidden.sum(1).unique().numel() > 1
    features = model.encode(images)
    together = model.classify_visible(features, hidden)
    alone = torch.cat([model.classify_visible(features[i : i + 1], hidden[i : i + 1]) for i in range(9)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together, model.classify(features, hidden), rtol=1e-4, atol=1e-4)


def test_masks_cover_the_patch_and_a_larger_patch_is_refused():
    masks = masked((2, 1)).covering_masks(PatchSpec(16))
    assert masks == (0b00110011, 0b01100110, 0b11001100)
    with pytest.raises(ConfigurationError, match="larger than the image"):
        masked().covering_masks(PatchSpec(65))


def test_mirrored_windows_are_those_of_the_mirrored_image():
    hidden = torch.tensor([[True, True, False, False, False, False, False, True]])
    assert masked((2, 1)).mirrored(hidden).int().tolist() == [[0, 0, 1, 1, 1, 0, 0, 0]]


def test_advice_names_a_stride_that_works():
    model = noisy_srf(window=(4, 1))
    assert model.advice(PatchSpec(1), 2, 4).startswith("the nearest that works: ")
    assert model.advice(PatchSpec(64), 2, 1) == (
        "no stride and no windows of vit_tiny_patch16_224 work here, so a smaller patch or fewer patches remain"
    )


def test_tokens_and_blocks_behind_the_split():
    model = noisy_srf(split=1)
    assert list(model.lrf_blocks) == list(model.residual_blocks[1:])
    masked_model = masked((2, 1))
    hidden = torch.tensor([[False] * 8, [True] * 7 + [False]])
    assert masked_model.mutant_tokens(hidden).tolist() == [17, 3]
