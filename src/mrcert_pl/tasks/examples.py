"""Images with the evidence of their verdicts, and images before and after an attack."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from mrcert_pl.data import AttackedFacts, AttackedImages, ImageDataModule, ImageSplit, Preprocessing, Record
from mrcert_pl.errors import DataError, MRCertError
from mrcert_pl.results.examples import AttackExample, DefenceExample, Example, ImageSource, patch_pixels, pixels_of
from mrcert_pl.tasks.runtime import log
from mrcert_pl.tasks.settings import DatasetSettings


def image_source(data: ImageDataModule) -> ImageSource:
    """Return a source of the test images by their ids."""
    split = data.split("test")
    positions = {record.id: position for position, record in enumerate(split.records)}
    return lambda image_id: pixels_of(split[positions[image_id]].image)


def attack_examples(attacked: Path, data: ImageDataModule, number: int) -> list[AttackExample]:
    """Return the images with the highest loss before and after the attack."""
    if not number:
        return []
    images, originals = AttackedImages(attacked), data.split("test")
    records = list(images.records("test"))
    patched = ImageSplit(images, records, Preprocessing(data.preprocessing.image_px, "whole"))
    chosen = sorted(range(len(records)), key=lambda i: -images.facts[i].loss)[:number]
    return [_attack_example(images.facts[i], originals[i].image, patched[i].image) for i in chosen]


def _attack_example(facts: AttackedFacts, before: Tensor, after: Tensor) -> AttackExample:
    shown = pixels_of(after)
    return AttackExample(
        image_id=facts.id,
        label=facts.label,
        before_label=facts.clean_prediction,
        after_label=facts.prediction,
        success=facts.success,
        loss=facts.loss,
        before=pixels_of(before),
        after=shown,
        patch=patch_pixels(facts.placement._asdict(), shown.shape[:2]),
    )


def defence_examples(dataset: DatasetSettings, examples: Sequence[Example]) -> list[DefenceExample]:
    """Return verdicts on an attacked set beside the attacked images, and their originals if these are available."""
    if dataset.name != "attacked" or dataset.root is None or not examples:
        return []
    images = AttackedImages(dataset.root)
    known = {record.id: (record, facts) for record, facts in zip(images.records("test"), images.facts, strict=True)}
    attacked = {each.row.id: _own_size(images, known[each.row.id][0]) for each in examples}
    try:
        before = _originals(dataset.root, list(attacked), next(iter(attacked.values())).shape[:2])
    except MRCertError as error:
        log.info("the contact sheet is without the originals; %s", str(error).splitlines()[0])
        before = {}
    return [
        DefenceExample(
            each,
            attacked[each.row.id],
            patch_pixels(known[each.row.id][1].placement._asdict(), attacked[each.row.id].shape[:2]),
            before.get(each.row.id),
        )
        for each in examples
    ]


def _originals(folder: Path, ids: Sequence[int], image_px: tuple[int, ...]) -> dict[int, np.ndarray]:
    """Return the images of an attacked set as they were before any attack, by their ids.

    Raises:
        DataError: if the data set that they come from, or one of them, is not available.
    """
    header = AttackedImages(folder).header
    data = ImageDataModule(header.source, image_px=(image_px[0], image_px[1]), **header.source_arguments())
    split = data.split("test")
    positions = {record.id: position for position, record in enumerate(split.records)}
    if missing := sorted(set(ids) - set(positions)):
        raise DataError(f"{header.source}: there are no images {missing}; {folder} was made from other ones")
    return {image_id: pixels_of(split[positions[image_id]].image) for image_id in ids}


def _own_size(images: AttackedImages, record: Record) -> np.ndarray:
    """Return an attacked image as ``[height, width, 3]`` in [0, 1], at the size of the attack."""
    image = images.image(record)
    return np.asarray(image) / 255 if isinstance(image, Image.Image) else pixels_of(image)
