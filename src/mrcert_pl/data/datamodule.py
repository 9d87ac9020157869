"""The LightningDataModule of every data set."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from mrcert_pl.data.catalog import describe
from mrcert_pl.data.folders import ImageFiles
from mrcert_pl.data.preprocessing import Preprocessing, Resize
from mrcert_pl.data.records import Record, Source, Split
from mrcert_pl.data.samples import Augmentation, EpochSampler, ImageSplit, Sample, TrainingSplit
from mrcert_pl.errors import ConfigurationError

_MOST_SEED = 2**32 - 1


class ImageDataModule(L.LightningDataModule):
    """Load a data set in the same way for training, validation and test.

    On several devices each validation and test image goes to exactly one of them.

    Args:
        name: Name of a data set, see :func:`mrcert_pl.data.names`.
        root: Folder of the data set; ``None`` is ``data/<name>`` below the working directory.
        image_px: ``(height, width)`` of the model's input.
        batch_size: Number of images per batch and device.
        workers: Maximum number of processes that load images; never more than there are cores.
        limit: Number of images of each split to use, drawn with ``seed``; they keep their ids. ``None``: all.
        augmentation: Arguments of timm's training transform; ``None``: the preprocessing of evaluation.
        seed: Seed of the order of training images and of ``limit``.
        download: Whether to fetch missing files, where that is allowed.
        resize: Resizing in place of the data set's own, see :class:`mrcert_pl.data.Preprocessing`.
        labels: CSV file of labels, for ``folder``.
        module: Python module to import first, which registers the data set.

    Raises:
        ConfigurationError: for an unknown data set, or a setting of another type or range.
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
        labels: str | Path | None = None,
        module: str | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = _whole_number("batch_size", batch_size, 1)
        self.workers = min(_whole_number("workers", workers, 0), _cores())
        self.limit = None if limit is None else _whole_number("limit", limit, 1)
        self.seed = _whole_number("seed", seed, 0, _MOST_SEED)
        if not isinstance(download, bool):
            raise ConfigurationError(f"download must be true or false, got {download!r}")
        if not (isinstance(image_px, Sequence) and len(image_px) == 2):
            raise ConfigurationError(f"image_px must be a height and a width, got {image_px!r}")
        height, width = (_whole_number("image_px", side, 1) for side in image_px)
        for what, path in (("root", root), ("labels", labels)):
            if not (path is None or isinstance(path, str | Path)):
                raise ConfigurationError(f"{what} must be a path, got {path!r}")
        self.description = describe(name, root, labels, module)
        self.root = self.description.folder(root)
        self.download = download
        self.preprocessing = Preprocessing((height, width), resize or self.description.resize)
        self.augmentation = augmentation
        self._source: Source | None = None

    def prepare_data(self) -> None:
        # Lightning calls this in one process per machine; the others wait.
        if self.download:
            self.description.fetch(self.root)

    def setup(self, stage: str) -> None:
        # Missing files must show before the first epoch, not at its end.
        self._opened()

    def notes(self) -> list[str]:
        """Return sentences about choices that were made for the user, and about files that were left out."""
        source = self._opened()
        skipped = source.skipped if isinstance(source, ImageFiles) else ()
        what = (
            "1 file without the suffix of an image is"
            if len(skipped) == 1
            else (f"{len(skipped)} files without the suffix of an image are")
        )
        text = f"{what} skipped: {', '.join(skipped[:3])}"
        return [*self.description.notes, *([text + (", ..." if len(skipped) > 3 else "")] if skipped else [])]

    def split(self, split: Split) -> ImageSplit:
        """Return the images of a split with the preprocessing of evaluation."""
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
            # Lightning sets the sampler's epoch only after the workers of a resumed run have started.
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
            raise ConfigurationError(f"{len(images)} {split} image(s) are too few for {world} device(s)")
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
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _whole_number(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check a setting that counts something."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigurationError(f"{name} must be a whole number {limits}, got {value!r}")
    return value
