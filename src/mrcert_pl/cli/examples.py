"""What there is to see of some verdicts of an evaluation, and of some images before and after an attack."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig

from mrcert_pl.data import AttackedFacts, ImageDataModule, ImageSplit, Preprocessing
from mrcert_pl.data.attacked import AttackedImages
from mrcert_pl.data.attacked_header import read_header
from mrcert_pl.errors import DataError


class Example(NamedTuple):
    """A verdict and what there is to see of it.

    Attributes:
        row: of ``verdicts.parquet``.
        image: ``[height, width, 3]`` in [0, 1].
        hidden: bool ``[height, width]``, pixels that the witness has hidden; ``None`` if there is no witness.
        maps: for each shape of the patch bool ``[top, left]``, true where it can be without any effect.
    """

    row: Mapping[str, Any]
    image: np.ndarray
    hidden: np.ndarray | None
    maps: list[np.ndarray]


def pixels_of(image: torch.Tensor) -> np.ndarray:
    """A picture ``[height, width, 3]`` in [0, 1] of a tensor ``[3, height, width]``."""
    return image.clamp(0, 1).permute(1, 2, 0).numpy()


def verdict_examples(
    cfg: DictConfig,
    rows: Sequence[Mapping[str, Any]],
    wanted: int | Sequence[int],
    data: ImageDataModule,
    model: Any,
    lattice: Any,
) -> Iterator[Example]:
    """So many images of all kinds of verdicts, or those with these ids."""
    from mrcert_pl.cli.build import patch_of
    from mrcert_pl.geometry import location_maps
    from mrcert_pl.reporting.pictures import examples

    split = data.split("test")
    places = {record.id: position for position, record in enumerate(split.records)}
    for row in examples(rows, wanted):
        hidden, maps = None, []
        if hasattr(model, "borders"):
            if row["witness"] >= 0:
                hidden = _pixels(lattice.hidden[row["witness"]].numpy(), model.borders)
            if (safe := row.get("safe_masks")) is not None:
                safe_masks: Any = torch.tensor([safe])
                maps = [m[0].numpy() for m in location_maps(safe_masks, lattice.masks, model.borders, patch_of(cfg))]
        yield Example(row, pixels_of(split[places[row["id"]]].image), hidden, maps)


def attack_examples(
    attacked: AttackedImages, data: ImageDataModule, wanted: int
) -> Iterator[tuple[AttackedFacts, np.ndarray, np.ndarray]]:
    """What the attack knew of so many images, those with the highest loss, with the image before and after it."""
    originals, records = data.split("test"), list(attacked.records("test"))
    patched = ImageSplit(attacked, records, Preprocessing(data.preprocessing.image_px, "whole"))
    for i in sorted(range(len(records)), key=lambda i: -attacked.facts[i].loss)[:wanted]:
        yield attacked.facts[i], pixels_of(originals[i].image), pixels_of(patched[i].image)


def originals(folder: Path, ids: Collection[int], image_px: tuple[int, int]) -> dict[int, np.ndarray]:
    """The images of an attacked set as they were before any attack, by their ids.

    Args:
        folder: of the attacked set.
        ids: the images.
        image_px: ``(height, width)`` that they were attacked at.

    Raises:
        DataError: if the data set that they come from, or one of them, is not to be had here.
    """
    header = read_header(folder)
    split = ImageDataModule(header.source, image_px=image_px, **header.source_arguments()).split("test")
    places = {record.id: position for position, record in enumerate(split.records)}
    if missing := sorted(set(ids) - set(places)):
        raise DataError(f"{header.source}: there are no images {missing}; it is not what {folder} was made from")
    return {key: pixels_of(split[places[key]].image) for key in ids}


def _pixels(hidden: np.ndarray, borders: tuple[Sequence[int], Sequence[int]]) -> np.ndarray:
    """The pixels of hidden windows, ``[height, width]``."""
    rows, columns = (np.diff(along) for along in borders)
    return hidden.reshape(len(rows), len(columns)).repeat(rows, 0).repeat(columns, 1)
