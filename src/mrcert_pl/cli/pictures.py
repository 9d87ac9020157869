"""Pictures that evaluations and attacks leave in the folder of their run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor

from mrcert_pl.attacks import Placement
from mrcert_pl.cli.examples import Example, attack_examples, originals, pixels_of, verdict_examples
from mrcert_pl.data import ImageDataModule
from mrcert_pl.data.attacked import AttackedImages
from mrcert_pl.errors import ConfigurationError, MRCertError


def check_wanted(cfg: DictConfig, data: ImageDataModule) -> None:
    """Make sure that the images to draw are there, before any is evaluated.

    Raises:
        ConfigurationError: for the id of an image that the test set doesn't have.
    """
    if isinstance(cfg.pictures, int):
        return
    if missing := sorted(set(cfg.pictures) - {record.id for record in data.split("test").records}):
        raise ConfigurationError(
            f"pictures= names images that are not to be evaluated: {missing}; verdicts.parquet of an earlier run has "
            "the ids, and a number instead of a list draws so many"
        )


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
    if data.description.attacked:
        _draw_defence(Path(cfg.dataset.path), run_dir, data, examples)


def _draw_defence(folder: Path, run_dir: Path, data: ImageDataModule, examples: Sequence[Example]) -> None:
    """Draw images of the attacked set in ``folder`` before and after the attack, above the verdicts on them."""
    from mrcert_pl.reporting.pictures import Panel, contact_sheet, what_is_seen

    classes, attacked = data.description.classes, AttackedImages(folder)
    known = {record.id: (record, facts) for record, facts in zip(attacked.records("test"), attacked.facts, strict=True)}
    # A vote has none at all.
    witnesses = any(hidden is not None for _, _, hidden, _ in examples)
    columns = []
    for row, image, hidden, _ in examples:
        record, facts = known[row["id"]]
        picture = _in_own_size(attacked.image(record))
        patch = Placement(*facts.placement).mask(picture.shape[:2])[0].numpy()
        seen = None if hidden is None else what_is_seen(image, hidden)
        verdict = f"{_read(classes, row['prediction'], row['label'])}: {_outcome(row)}"
        if witnesses and hidden is None:
            verdict += " (no witness)"
        read = _read(classes, row["base_prediction"], row["label"])
        columns.append([Panel(read, picture, patch), Panel(verdict, seen)])
    names = [
        "attacked, and what the base model reads",
        "verdict, and what its witness sees" if witnesses else "verdict",
    ]
    try:
        before = originals(folder, [row["id"] for row, *_ in examples], picture.shape[:2])
    except MRCertError as error:
        print(f"contact_sheet.png is without the originals; {str(error).splitlines()[0]}")
    else:
        names = ["original, and what it is", *names]
        columns = [
            [Panel(classes[row["label"]], before[row["id"]]), *column]
            for (row, *_), column in zip(examples, columns, strict=True)
        ]
    print(contact_sheet(run_dir / "contact_sheet.png", columns, names))


def _in_own_size(image: Image.Image | Tensor) -> np.ndarray:
    """An attacked image as ``[height, width, 3]`` in [0, 1], at the size that it was attacked at."""
    return pixels_of(image) if isinstance(image, Tensor) else np.asarray(image) / 255


def _read(classes: Sequence[str], read: int, label: int) -> str:
    return classes[read] if read == label else f"{classes[read]}, not {classes[label]}"


def _outcome(row: Mapping[str, Any]) -> str:
    """What a defender made of an attacked image."""
    if row["prediction"] != row["label"]:
        return "lost"
    outcome = ["recovered"] if row["base_prediction"] != row["label"] else []
    if row["certified"]:
        outcome.append("round trip" if row["round_trip"] else "certified")
    return ", ".join(outcome) or "not certified"


def draw_attack(cfg: DictConfig, run_dir: Path, attacked: AttackedImages, data: ImageDataModule) -> None:
    """Draw ``cfg.pictures`` images before and after an attack, those with the highest loss, into the run's folder."""
    if not cfg.pictures:
        return
    from mrcert_pl.reporting.pictures import Panel, contact_sheet

    classes = data.description.classes
    columns = [
        [
            Panel(_read(classes, facts.clean_prediction, facts.label), before),
            Panel(_read(classes, facts.prediction, facts.label), after),
        ]
        for facts, before, after in attack_examples(attacked, data, cfg.pictures)
    ]
    print(contact_sheet(run_dir / "contact_sheet.png", columns, ["before", "after"]))
