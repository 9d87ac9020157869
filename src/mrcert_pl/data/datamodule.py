"""The LightningDataModule of every data set."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from mrcert_pl.data.catalog import describe
from mrcert_pl.data.preprocessing import Preprocessing
from mrcert_pl.data.records import Record, Source, Split
from mrcert_pl.errors import ConfigurationError


class Sample(NamedTuple):
    """One image on its way to a model, or a batch of them."""

    image: Tensor
    label: Any
    id: Any
    path: Any


class ImageDataModule(L.LightningDataModule):
    """Loads a data set of the catalogue, the same way for training, validation and test.

    On several devices each validation and test image goes to exactly one of them, none twice.

    Args:
        name: a data set of the catalogue.
        root: its folder, if it has one.
        image_px: ``(height, width)`` that the model takes.
        batch_size: images per batch and device.
        workers: processes that load images.
        limit: use only this many images of each split, drawn with ``seed``; they keep their ids.
        augmentation: arguments of timm's training transform, or ``None`` for the plain preprocessing.
        seed: of the order of training images and of ``limit``.
    """

    def __init__(
        self,
        name: str,
        root: str | Path | None = None,
        image_px: tuple[int, int] = (224, 224),
        batch_size: int = 64,
        workers: int = 0,
        limit: int | None = None,
        augmentation: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for what, value in (("batch size", batch_size), ("limit", limit if limit is not None else 1)):
            if value < 1:
                raise ConfigurationError(f"the {what} must be at least 1, not {value}")
        self.description = describe(name)
        self.root = None if root is None else Path(root)
        self.preprocessing = Preprocessing(image_px, self.description.resize)
        self.batch_size = batch_size
        self.workers = workers
        self.limit = limit
        self.augmentation = augmentation
        self.seed = seed
        self._source: Source | None = None

    def split(self, split: Split) -> "ImageSplit":
        """The images of a split with the preprocessing of evaluation."""
        return ImageSplit(self._opened(), self._members(split), self.preprocessing)

    def train_dataloader(self) -> DataLoader[Sample]:
        transform: Callable[[Image.Image], Tensor] = self.preprocessing
        if self.augmentation is not None:
            transform = _augmented(self.preprocessing.image_px, self.augmentation)
        images = ImageSplit(self._opened(), self._members("train"), transform)
        world, rank = self._ranks()
        if len(images) < self.batch_size * world:
            raise ConfigurationError(
                f"the {len(images)} training images don't fill one batch of {self.batch_size} on {world} device(s); "
                "take a smaller recipe.batch_size or a larger dataset.limit"
            )
        sampler: Sampler[int] = DistributedSampler(images, world, rank, seed=self.seed)
        return self._loader(images, sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader[Sample]:
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Sample]:
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: Split) -> DataLoader[Sample]:
        images = self.split(split)
        world, rank = self._ranks()
        if len(images) < world:
            raise ConfigurationError(f"{len(images)} {split} image(s) are too few for {world} devices")
        return self._loader(images, UnrepeatedDistributedSampler(images, world, rank, shuffle=False))

    def _loader(self, images: "ImageSplit", sampler: Sampler[int], drop_last: bool = False) -> DataLoader[Sample]:
        return DataLoader(
            images,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
        )

    def _opened(self) -> Source:
        if self._source is None:
            self._source = self.description.open(self.root)
        return self._source

    def _members(self, split: Split) -> list[Record]:
        records = list(self._opened().records(split))
        if self.limit is None or self.limit >= len(records):
            return records
        order = torch.randperm(len(records), generator=torch.Generator().manual_seed(self.seed))
        return [records[i] for i in sorted(order[: self.limit].tolist())]

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)


class ImageSplit(Dataset[Sample]):
    """Records of a data set, loaded and transformed one at a time."""

    def __init__(self, source: Source, records: list[Record], transform: Callable[[Image.Image], Tensor]) -> None:
        self.source = source
        self.records = records
        self.transform = transform

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        return Sample(self.transform(self.source.image(record)), record.label, record.id, record.path)


def _augmented(image_px: tuple[int, int], arguments: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    # Normalisation is the model's, so here it is the identity.
    fixed = {"is_training": True, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "interpolation": "bicubic"}
    transform = create_transform((3, *image_px), **{**fixed, **arguments})
    return lambda image: transform(image.convert("RGB"))
