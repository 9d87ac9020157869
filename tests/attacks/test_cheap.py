"""Patches that need no model."""

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import CheapPatches, Placement
from mrcert_pl.models import ViTSRF

IMAGE = random_images(1, 96)[0].mul(255).round() / 255


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    return noisy_srf()


def test_cheap_patches(model: ViTSRF) -> None:
    placement = Placement(4, 8, 16, 12)
    exemplars = torch.stack([torch.zeros(3, 30, 40), torch.ones(3, 30, 40)])
    made = list(CheapPatches(exemplars).patched(model, IMAGE, 0, placement, 0))
    assert [name for name, _ in made] == ["random", "checker", "exemplar", "exemplar"]
    outside = ~placement.mask((96, 96))
    for _, image in made:
        assert torch.equal(image * outside, IMAGE * outside)
    contents = [image[placement.pixels] for _, image in made]
    assert contents[0].unique().numel() > 100
    assert contents[1].mean() == 0.5
    assert (contents[1][:, :4, :4] == 0).all()
    assert (contents[1][:, :4, 4:8] == 1).all()
    assert (contents[2] == 0).all()
    assert (contents[3] == 1).all()
    other = list(CheapPatches(exemplars[:0]).patched(model, IMAGE, 0, placement, 1))
    assert len(other) == 2
    assert not torch.equal(other[0][1], made[0][1])


def test_the_pixels_are_on_the_8_bit_grid(model: ViTSRF) -> None:
    for _, image in CheapPatches(random_images(2, 50)).patched(model, IMAGE, 0, Placement(0, 0, 20, 20), 0):
        assert torch.equal(image, (image * 255).round() / 255)


def test_seed_image_id_and_placement_determine_the_noise(model: ViTSRF) -> None:
    def noise(seed: int, image_id: int, top: int) -> torch.Tensor:
        placement = Placement(top, 8, 16, 12)
        made = CheapPatches(torch.zeros(0, 3, 8, 8), seed).patched(model, IMAGE, 0, placement, image_id)
        return next(made)[1][placement.pixels]

    first = noise(0, 0, 4)
    assert torch.equal(first, noise(0, 0, 4))
    assert not any(torch.equal(first, noise(*other)) for other in ((1, 0, 4), (0, 1, 4), (0, 0, 5)))
