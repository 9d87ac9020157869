"""Tables of images for W&B, with overlays."""

from collections.abc import Iterable, Sequence

import numpy as np

from mrcert_pl.attacks import Placement
from mrcert_pl.cli.examples import Example
from mrcert_pl.dashboard import Board, figures
from mrcert_pl.data import AttackedFacts

# Numbers of overlays; no two mean different things.
_HIDDEN = {1: "hidden, the witness doesn't see it"}
_SAFE = {2: "a patch centred here has no effect", 3: "not certified"}
_PATCH = {4: "the patch"}

_PLAIN = ("id", "case", "certified", "round_trip", "certified_patches", "certified_fraction", "mutants_evaluated")


def show_verdicts(board: Board, examples: Iterable[Example], classes: Sequence[str]) -> None:
    """What became of some images, with what the witness has hidden and the map as overlays.

    Args:
        board: gets ``evaluation/verdicts``.
        examples: the images.
        classes: names of the classes.
    """
    from mrcert_pl.reporting.pictures import kind_of

    rows = []
    for row, image, hidden, maps in examples:
        size = image.shape[:2]
        overlays = {} if hidden is None else {"witness": (hidden, _HIDDEN)}
        for number, safe in enumerate(maps, 1):
            overlays["map" if len(maps) == 1 else f"map of shape {number}"] = (figures.centred(safe, size), _SAFE)
        names = [classes[row[name]] for name in ("label", "base_prediction", "prediction")]
        rows.append([board.image(image, overlays), kind_of(row), *names, *(row[name] for name in _PLAIN)])
    board.table("evaluation/verdicts", ("image", "verdict", "label", "base prediction", "prediction", *_PLAIN), rows)


def show_attacked(
    board: Board, examples: Iterable[tuple[AttackedFacts, np.ndarray, np.ndarray]], classes: Sequence[str]
) -> None:
    """Some images before and after an attack, with the patch as an overlay.

    Args:
        board: gets ``attack/images``.
        examples: what the attack knew of each, and the image before and after it.
        classes: names of the classes.
    """
    rows = []
    for facts, before, after in examples:
        patch = 4 * Placement(*facts.placement).mask(after.shape[:2])[0].numpy()
        names = [classes[label] for label in (facts.label, facts.clean_prediction, facts.prediction)]
        images = [board.image(before), board.image(after, {"patch": (patch, _PATCH)})]
        rows.append([*images, *names, facts.success, facts.loss, facts.id])
    board.table("attack/images", ("image", "attacked image", "label", "before", "after", "success", "loss", "id"), rows)
