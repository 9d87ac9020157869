import pytest
import timm
import torch
from noisy_srf import random_images
from timm.models._manipulate import group_parameters

from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import BlackBox
from mrcert_pl.models.checkpoints import Checkpoint, describe_model, restore
from mrcert_pl.models.flops import window_fractions

# 50 places for the patch: masks of 31 px at 0, 17 and 33, and five cells along each axis.
SETTINGS = {"num_classes": 5, "patch": 15, "masks_per_axis": 3, "image_px": (64, 64)}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def small_box(backbone="test_resnet", **settings):
    return BlackBox(backbone, **(SETTINGS | settings)).eval()


def cell_of_pixels(model):
    """``[height, width]``: number of the cell that a pixel lies in, counted pixel by pixel."""
    rows, columns = model.masks.rows, model.masks.columns
    row = [max(i for i, border in enumerate(rows) if border <= y) for y in range(rows[-1])]
    column = [max(i for i, border in enumerate(columns) if border <= x) for x in range(columns[-1])]
    return torch.tensor([[r * model.masks.grid[1] + c for c in column] for r in row])


@pytest.mark.parametrize(
    ("backbone", "arguments"), [("test_resnet", {}), ("test_convnext", {}), ("test_vit", {"img_size": 64})]
)
@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_hidden_pixels_are_painted_over_before_the_classifier(backbone, arguments, fill):
    model = small_box(backbone, backbone_args=arguments, fill=fill)
    images = random_images(4)
    hidden = torch.rand(4, model.windows) < 0.5
    hidden[:, 0] = False
    painted = (images - model.mean) / model.std
    painted[hidden[:, cell_of_pixels(model)][:, None].expand(-1, 3, -1, -1)] = fill
    expected = model.net(painted)
    torch.testing.assert_close(model(images, hidden), expected)
    mutants = model.classify_mutants(model.encode(images[:2]), torch.tensor([1, 0]), hidden[:2])
    torch.testing.assert_close(mutants, model(images[[1, 0]], hidden[:2]))
    assert torch.equal(model(images), model(images, torch.zeros_like(hidden)))


def test_pixels_of_hidden_windows_have_no_influence_at_all():
    model, images = small_box(), random_images(3)
    hidden = torch.rand(3, model.windows) < 0.5
    hidden[:, 0], hidden[:, 1] = False, True
    patched = images.masked_fill(hidden[:, cell_of_pixels(model)][:, None], float("nan"))
    assert torch.equal(model(patched, hidden), model(images, hidden))


def test_its_masks_are_those_of_the_patch_that_it_is_made_for():
    model = small_box()
    assert model.covering_masks(PatchSpec(15)) == model.masks.masks
    assert model.covering_masks(PatchSpec(12)) == model.masks.masks
    assert len(model.masks.masks) == 9
    assert model.windows == 25
    assert float(window_fractions(model.borders).sum()) == pytest.approx(1)
    with pytest.raises(ConfigurationError, match="no mask covers the 16x16 px patch"):
        model.covering_masks(PatchSpec(16))
    # Masks of a larger stride join neighbouring ones.
    assert model.covering_masks(PatchSpec(15), 2) == model.masks.joined(2, 2)
    assert len(model.covering_masks(PatchSpec(15), (1, 2))) == 6
    with pytest.raises(ConfigurationError, match="stride must be a whole number of at least 1, not 0"):
        model.covering_masks(PatchSpec(15), 0)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_vit"])
def test_layers_by_depth_are_those_of_the_classifier(backbone):
    model = small_box(backbone, backbone_args={"img_size": 64} if "vit" in backbone else {})
    ours = group_parameters(model, model.group_matcher())
    theirs = group_parameters(model.net, model.net.group_matcher())
    assert {layer: [name.removeprefix("net.") for name in names] for layer, names in ours.items()} == theirs


def test_a_head_can_start_from_rows_of_the_old_one(tmp_path):
    net = timm.create_model("test_resnet", num_classes=9).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    images, rows = random_images(2), [8, 0, 3, 3, 5]
    model = small_box(weights=tmp_path / "w.pth", head_rows=rows)
    torch.testing.assert_close(model(images), net((images - model.mean) / model.std)[:, rows])


def test_it_goes_through_a_checkpoint(tmp_path):
    model, other = small_box(), small_box(masks_per_axis=4)
    twin = BlackBox(**model.config).eval()
    saved = Checkpoint(tmp_path / "x.ckpt", describe_model(model), model.state_dict())
    restore(twin, saved)
    assert torch.equal(twin(random_images(1)), model(random_images(1)))
    with pytest.raises(CheckpointError, match="masks_per_axis: 3 in the checkpoint, 4 in the configuration"):
        restore(other, saved)


def test_what_does_not_fit_is_refused():
    model = small_box()
    with pytest.raises(ConfigurationError, match="all windows of an image are hidden"):
        model(random_images(1), torch.ones(1, 25, dtype=torch.bool))
    with pytest.raises(ConfigurationError, match=r"hidden must be \[1, 25\]"):
        model(random_images(1), torch.ones(1, 24, dtype=torch.bool))
    with pytest.raises(ConfigurationError, match="images must be floats"):
        model(torch.zeros(1, 3, 64, 48))
    with pytest.raises(ConfigurationError, match="timm has no model 'resnet51'"):
        small_box("resnet51")
