"""The LightningDataModule of every data set."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from mrcert_pl.data.catalog import describe
from mrcert_pl.data.preprocessing import Preprocessing, Resize
from mrcert_pl.data.records import Record, Source, Split
from mrcert_pl.data.samples import Augmentation, EpochSampler, ImageSplit, Sample, TrainingSplit
from mrcert_pl.errors import ConfigurationError


class ImageDataModule(L.LightningDataModule):
    """Loads a data set of the catalogue, the same way for training, validation and test.

    On several devices each validation and test image goes to exactly one of them, none twice.

    Args:
        name: a data set of the catalogue, or ``attacked``.
        root: its folder, if it has one; ``None`` is ``data/<name>`` below the working directory.
        image_px: ``(height, width)`` that the model takes.
        batch_size: images per batch and device.
        workers: processes that load images, at most; no more are started than there are cores.
        limit: use only this many images of each split, drawn with ``seed``; they keep their ids.
        augmentation: arguments of timm's training transform, or ``None`` for the plain preprocessing.
        seed: of the order of training images and of ``limit``.
        download: fetch what is missing of it, where that is allowed.
        resize: instead of the data set's own way to ``image_px``, see :class:`mrcert_pl.data.Preprocessing`.
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
        download: bool = False,
        resize: Resize | None = None,
    ) -> None:
        super().__init__()
        for what, value, least in (("batch size", batch_size, 1), ("limit", limit, 1), ("workers", workers, 0)):
            if value is not None and value < least:
                raise ConfigurationError(f"the {what} must be at least {least}, not {value}")
        self.description = describe(name, root)
        self.root = self.description.folder(root)
        self.download = download
        self.preprocessing = Preprocessing(image_px, resize or self.description.resize)
        self.batch_size = batch_size
        self.workers = min(workers, _cores())
        self.limit = limit
        self.augmentation = augmentation
        self.seed = seed
        self._source: Source | None = None

    def prepare_data(self) -> None:
        # Lightning calls this in one process per machine, and lets the others wait.
        if self.download:
            self.description.fetch(self.root)

    def setup(self, stage: str) -> None:
        # Whatever is missing shall show before the first epoch, not at its end.
        self._opened()

    def split(self, split: Split) -> ImageSplit:
        """The images of a split with the preprocessing of evaluation."""
        return ImageSplit(self._opened(), self._members(split), self.preprocessing)

    def train_dataloader(self) -> DataLoader[Sample]:
        transform: Callable[[Any], Tensor] = self.preprocessing
        if self.augmentation is not None:
            transform = Augmentation(self.preprocessing.image_px, self.augmentation)
        images = TrainingSplit(self._opened(), self._members("train"), transform, self.seed)
        world, rank = self._ranks()
        if len(images) < self.batch_size * world:
            raise ConfigurationError(
                f"the {len(images)} training images don't fill one batch of {self.batch_size} on {world} device(s); "
                "take a smaller recipe.batch_size or a larger dataset.limit"
            )
        sampler = EpochSampler(images, world, rank, seed=self.seed)
        if self.trainer:
            # Lightning tells the sampler its epoch only after the workers of a resumed run have begun.
            progress: Any = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(progress.processed)
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

    def _loader(self, images: ImageSplit, sampler: Sampler[Any], drop_last: bool = False) -> DataLoader[Sample]:
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


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class AttackedDataModule(ImageDataModule):
    """Serves an attacked set, to test on.

    Args:
        path: its folder.
        settings: further ones of :class:`ImageDataModule`.
    """

    def __init__(self, path: str | Path | None = None, **settings: Any) -> None:
        super().__init__(root=path, **settings)
