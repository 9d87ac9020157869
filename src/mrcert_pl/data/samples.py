"""Images between a data set and a model: loaded, transformed, augmented."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, create_transform
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from mrcert_pl.data.images import rgb
from mrcert_pl.data.records import Record, Source
from mrcert_pl.errors import ConfigurationError


class Sample(NamedTuple):
    """One image with its label, id and path, or a batch of them."""

    image: Tensor
    label: Any
    id: Any
    path: Any


class ImageSplit(Dataset[Sample]):
    """Records of a data set, loaded and transformed one at a time."""

    def __init__(self, source: Source, records: list[Record], transform: Callable[[Any], Tensor]) -> None:
        self.source = source
        self.records = records
        self.transform = transform

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        return Sample(self.transform(self.source.image(record)), record.label, record.id, record.path)


class TrainingSplit(ImageSplit):
    """Records whose augmentation is seeded image by image, from (seed, epoch, id).

    An augmented image then does not depend on the order, the batches, the workers or the devices.
    """

    def __init__(self, source: Source, records: list[Record], transform: Callable[[Any], Tensor], seed: int) -> None:
        super().__init__(source, records, transform)
        self.seed = seed

    def __getitem__(self, index: int | tuple[int, int]) -> Sample:
        """Return the sample of ``(epoch, index)``, as :class:`EpochSampler` gives them."""
        epoch, position = index if isinstance(index, tuple) else (0, index)
        with isolate_rng(include_cuda=False):
            state = np.random.SeedSequence([self.seed, epoch, self.records[position].id]).generate_state(1)
            random.seed(int(state[0]))
            np.random.seed(state[0])
            # torch.manual_seed would queue a seed for every kind of accelerator, each with a traceback: 1 ms per image.
            torch.default_generator.manual_seed(int(state[0]))
            return super().__getitem__(position)


class EpochSampler(DistributedSampler[Any]):
    """Torch's distributed sampler with ``(epoch, index)``, so that every worker has the epoch."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())


class Augmentation:
    """timm's training transform without normalisation, which is the model's.

    Random erasing draws its noise in units of a normalised image, so it may leave [0, 1].

    Raises:
        ConfigurationError: for arguments that the transform does not have.
    """

    def __init__(self, image_px: tuple[int, int], arguments: Mapping[str, Any]) -> None:
        fixed = {"is_training": True, "mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
        try:
            self.transform = create_transform((3, *image_px), **{**fixed, "interpolation": "bicubic", **arguments})
        except TypeError as error:
            raise ConfigurationError(
                f"recipe.augmentation has arguments that timm's create_transform doesn't take: {error}"
            ) from error
        except (ValueError, LookupError, AssertionError) as error:
            raise ConfigurationError(
                f"recipe.augmentation has a value that timm's create_transform doesn't take: {error!r}"
            ) from error
        self.mean = torch.tensor(IMAGENET_DEFAULT_MEAN).view(3, 1, 1)
        self.std = torch.tensor(IMAGENET_DEFAULT_STD).view(3, 1, 1)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return ``[3, height, width]``, in [0, 1] except for erased parts."""
        return self.transform(rgb(image)) * self.std + self.mean
