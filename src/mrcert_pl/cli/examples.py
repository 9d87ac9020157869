"""Images of an evaluation or an attack, as the views take them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from mrcert_pl.data import ImageDataModule, ImageSplit, Preprocessing
from mrcert_pl.data.attacked import AttackedImages, read_header
from mrcert_pl.errors import ConfigurationError, DataError, MRCertError
from mrcert_pl.results.examples import (
    AttackExample,
    DefenceExample,
    Example,
    patch_pixels,
    pixels_of,
    verdict_examples,
)
from mrcert_pl.results.schema import VerdictRow


def check_wanted(cfg: DictConfig, data: ImageDataModule) -> None:
    """Check that the images to draw are in the test set, before any is evaluated.

    Raises:
        ConfigurationError: For the id of an image that the test set does not have.
    """
    if isinstance(cfg.pictures, int):
        return
    if missing := sorted(set(cfg.pictures) - {record.id for record in data.split("test").records}):
        raise ConfigurationError(
            f"pictures= names images that are not to be evaluated: {missing}; verdicts.parquet of an earlier run has "
            "the ids, and a number instead of a list draws that many"
        )


def evaluated_examples(
    cfg: DictConfig,
    rows: Sequence[VerdictRow],
    wanted: int | Sequence[int],
    data: ImageDataModule,
    model: Any,
    lattice: Any,
) -> list[Example]:
    """Examples of the verdicts of an evaluation."""
    from mrcert_pl.cli.build import patch_of

    image_of = _images(data.split("test"))
    return verdict_examples(rows, wanted, image_of, getattr(model, "borders", None), lattice, patch_of(cfg))


def attacked_examples(attacked: AttackedImages, data: ImageDataModule, wanted: int) -> list[AttackExample]:
    """The images with the highest loss before and after an attack."""
    originals, records = data.split("test"), list(attacked.records("test"))
    patched = ImageSplit(attacked, records, Preprocessing(data.preprocessing.image_px, "whole"))
    chosen = sorted(range(len(records)), key=lambda i: -attacked.facts[i]["loss"])[:wanted]
    return [
        AttackExample.of(attacked.facts[i], pixels_of(originals[i].image), pixels_of(patched[i].image)) for i in chosen
    ]


def defence_examples(folder: Path, examples: Sequence[Example]) -> tuple[list[DefenceExample], str | None]:
    """Verdicts on attacked images with the attacked and the original images; why the originals are missing."""
    attacked = AttackedImages(folder)
    known = {record.id: (record, facts) for record, facts in zip(attacked.records("test"), attacked.facts, strict=True)}
    images = {each.row.id: _in_own_size(attacked.image(known[each.row.id][0])) for each in examples}
    problem, before = None, dict[int, np.ndarray]()
    try:
        before = originals(folder, list(images), next(iter(images.values())).shape[:2])
    except MRCertError as error:
        problem = str(error).splitlines()[0]
    defences = []
    for each in examples:
        image = images[each.row.id]
        placement = known[each.row.id][1]["placement"]
        defences.append(DefenceExample(each, image, patch_pixels(placement, image.shape[:2]), before.get(each.row.id)))
    return defences, problem


def _images(split: ImageSplit) -> Callable[[int], np.ndarray]:
    places: Mapping[int, int] = {record.id: position for position, record in enumerate(split.records)}
    return lambda image_id: pixels_of(split[places[image_id]].image)


def originals(folder: Path, ids: Collection[int], image_px: Any) -> dict[int, np.ndarray]:
    """The images of an attacked set before the attack, by their ids.

    Raises:
        DataError: If the data set that they come from, or one of them, is missing.
    """
    header = read_header(folder)
    settings = header["made_from"].get("dataset", {})
    split = ImageDataModule(header["dataset"], image_px=image_px, **settings).split("test")
    if missing := sorted(set(ids) - {record.id for record in split.records}):
        raise DataError(f"{header['dataset']}: there are no images {missing}; it is not what {folder} was made from")
    image_of = _images(split)
    return {image_id: image_of(image_id) for image_id in ids}


def _in_own_size(image: Image.Image | Tensor) -> np.ndarray:
    """An attacked image as ``[height, width, 3]`` in [0, 1], in the size of the attack."""
    return pixels_of(image) if isinstance(image, Tensor) else np.asarray(image) / 255
