"""Samples, their order and their augmentation."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from mrcert_pl.data import ImageSplit, Record, Source, TrainingSplit
from mrcert_pl.data.samples import Augmentation, EpochSampler
from mrcert_pl.errors import ConfigurationError

RECORDS = [Record(7, 1, "a.png"), Record(3, 0, "b.png")]


class Grey:
    """A source of uniform images."""

    def records(self, split: str) -> list[Record]:
        return RECORDS

    def image(self, record: Record) -> Image.Image:
        return Image.new("L", (20, 30), 10 * record.id)


def drawn(image: Image.Image) -> torch.Tensor:
    """One number of each generator that an augmentation may use."""
    return torch.tensor([random.random(), np.random.rand(), torch.rand(1).item()])


def test_a_sample_is_transformed_and_keeps_label_id_and_path() -> None:
    split = ImageSplit(Grey(), RECORDS, lambda image: torch.tensor(image.getpixel((0, 0))))
    assert isinstance(split.source, Source)
    assert len(split) == 2
    assert tuple(split[0]) == (70, 1, 7, "a.png")
    assert tuple(split[1]) == (30, 0, 3, "b.png")


def test_seed_epoch_and_id_determine_the_draws_of_a_training_image() -> None:
    split = TrainingSplit(Grey(), RECORDS, drawn, seed=5)
    first = split[0, 1].image
    torch.rand(3)
    random.random()
    assert torch.equal(split[0, 1].image, first)
    assert torch.equal(split[1].image, first)
    assert torch.equal(TrainingSplit(Grey(), RECORDS[1:], drawn, seed=5)[0, 0].image, first)
    others = (split[1, 1], split[0, 0], TrainingSplit(Grey(), RECORDS, drawn, seed=6)[0, 1])
    assert not any((other.image == first).any() for other in others)


def test_a_training_image_leaves_the_generators_as_they_were() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    TrainingSplit(Grey(), RECORDS, drawn, seed=5)[0, 0]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])


def test_the_sampler_gives_the_epoch_with_every_index() -> None:
    sampler = EpochSampler(range(10), num_replicas=2, rank=0, shuffle=True, seed=1)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        pairs = list(sampler)
        assert [pair[0] for pair in pairs] == [epoch] * 5
        orders.append([pair[1] for pair in pairs])
    assert orders[0] != orders[1]


def test_augmented_images_are_not_normalised() -> None:
    plain = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "hflip": 0.0, "color_jitter": None, "auto_augment": None}
    image = Augmentation((16, 24), plain)(Image.new("RGB", (24, 24), (51, 102, 255)))
    assert image.shape == (3, 16, 24)
    assert torch.allclose(image.mean((1, 2)), torch.tensor([0.2, 0.4, 1.0]), atol=1e-3)


def test_arguments_that_the_transform_lacks_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"recipe\.augmentation has arguments that timm's .* 'sclae'"):
        Augmentation((16, 16), {"sclae": (0.3, 0.5)})


@pytest.mark.parametrize(
    "arguments", [{"auto_augment": "foo"}, {"interpolation": "x"}, {"scale": "a"}, {"color_jitter": "x"}], ids=str
)
def test_values_that_the_transform_does_not_take_are_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"recipe\.augmentation has a value that timm's create_transform"):
        Augmentation((16, 16), arguments)
