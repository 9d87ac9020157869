"""Pictures of some verdicts of an evaluation, and of what an attack did."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.data import ImageDataModule, ImageSplit, Preprocessing
from mrcert_pl.data.attacked import AttackedImages


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
        yield Example(row, _picture(split[places[row["id"]]].image), hidden, maps)


def draw_verdicts(cfg: DictConfig, run_dir: Path, data: ImageDataModule, model: Any, lattice: Any) -> None:
    """Draw ``cfg.pictures`` images of all kinds of verdicts, or those with these ids, into the run's ``pictures``."""
    if not cfg.pictures:
        return
    from rich.progress import track

    from mrcert_pl.reporting import read_verdicts
    from mrcert_pl.reporting.pictures import kind_of, verdict_picture
    from mrcert_pl.reporting.summary import patch_text

    rows = read_verdicts(run_dir / "verdicts.parquet")
    classes = data.description.classes
    folder = run_dir / "pictures"
    patch = patch_text(OmegaConf.to_object(cfg)["patch"])  # type: ignore[call-overload, index]
    examples = list(verdict_examples(cfg, rows, cfg.pictures, data, model, lattice))
    for row, image, hidden, maps in track(examples, "Drawing", transient=True):
        title = f"{kind_of(row)}: {classes[row['prediction']]}"
        if row["prediction"] != row["label"]:
            title += f", but it is {classes[row['label']]}"
        if row.get("certified_patches") is not None:
            title += f" (patches of {patch} that can't change it: {max(row['certified_patches'], 0)})"
        verdict_picture(folder / f"{row['id']}.png", image, title, hidden, maps)
    print(f"{folder}")


def attack_examples(
    attacked: AttackedImages, data: ImageDataModule, wanted: int
) -> Iterator[tuple[Mapping[str, Any], np.ndarray, np.ndarray]]:
    """What the attack knew of so many images, those with the highest loss, with the image before and after it."""
    originals, records = data.split("test"), list(attacked.records("test"))
    patched = ImageSplit(attacked, records, Preprocessing(data.preprocessing.image_px, "whole"))
    for i in sorted(range(len(records)), key=lambda i: -attacked.facts[i]["loss"])[:wanted]:
        yield attacked.facts[i], _picture(originals[i].image), _picture(patched[i].image)


def draw_attack(cfg: DictConfig, run_dir: Path, attacked: AttackedImages, data: ImageDataModule) -> None:
    """Draw ``cfg.pictures`` images before and after an attack, those with the highest loss, into the run's folder."""
    if not cfg.pictures:
        return
    from mrcert_pl.reporting.pictures import contact_sheet

    classes = data.description.classes

    def titled(facts: Mapping[str, Any], stage: str) -> str:
        read, label = classes[facts[stage]], classes[facts["label"]]
        return read if read == label else f"{read}, not {label}"

    pairs = [
        [(titled(facts, "clean_prediction"), before), (titled(facts, "prediction"), after)]
        for facts, before, after in attack_examples(attacked, data, cfg.pictures)
    ]
    print(contact_sheet(run_dir / "contact_sheet.png", pairs))


def _picture(image: torch.Tensor) -> np.ndarray:
    """``[height, width, 3]`` in [0, 1]."""
    return image.clamp(0, 1).permute(1, 2, 0).numpy()


def _pixels(hidden: np.ndarray, borders: tuple[Sequence[int], Sequence[int]]) -> np.ndarray:
    """The pixels of hidden windows, ``[height, width]``."""
    rows, columns = (np.diff(along) for along in borders)
    return hidden.reshape(len(rows), len(columns)).repeat(rows, 0).repeat(columns, 1)
