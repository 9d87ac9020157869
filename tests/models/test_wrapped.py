"""Classifiers of every kind as base models: pixels are replaced before their first layer."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import WrappedClassifier
from mrcert_pl.models.wrapped import logits_of, patch_spec
from mrcert_pl.mutants.evaluator import MaskableModel

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)


def wrapped(**settings):
    net = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, 5))
    return WrappedClassifier(
        net, 5, MEAN, STD, **{"patch": 4, "masks_per_axis": 3, "image_px": (16, 16), **settings}
    ).eval()


def test_it_normalises_and_fills():
    model, images = wrapped(fill=0.25), torch.rand(2, 3, 16, 16)
    assert isinstance(model, MaskableModel)
    normal = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(model(images), model.net(normal))
    hidden = torch.zeros(2, model.windows, dtype=torch.bool)
    hidden[:, 0] = True
    rows, columns = model.borders
    normal[:, :, : rows[1], : columns[1]] = 0.25
    torch.testing.assert_close(model(images, hidden), model.net(normal))


def test_a_patch_may_be_written_as_a_list():
    assert patch_spec([2, 3]) == PatchSpec("2x3")
    assert patch_spec(["2x3", "3x2"]) == PatchSpec("2x3,3x2")
    assert patch_spec("2%") == PatchSpec("2%")


def test_logits_are_found_in_outputs():
    logits = torch.rand(2, 5)
    for output in (logits, SimpleNamespace(logits=logits), {"logits": logits, "loss": 1}):
        assert logits_of(output) is logits
    for output in (None, [logits], {"scores": logits}, logits[0], logits.long()):
        with pytest.raises(ConfigurationError, match="must return logits"):
            logits_of(output)


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0, 0.0), STD), (MEAN, (1.0,)), (MEAN, (1.0, 1.0, 0.0)), (MEAN, (1.0, -1.0, 1.0))]
)
def test_a_normalisation_has_three_values(mean, std):
    with pytest.raises(ConfigurationError, match="one value per colour channel"):
        WrappedClassifier(nn.Identity(), 5, mean, std)
