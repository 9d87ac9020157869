"""Compare the verdicts of an evaluation with those that follow from its tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry.patch import PatchSpec
from mrcert_pl.verification.masks import Answers, Unions, cascade, mrcert, patchcure, undefended
from mrcert_pl.verification.tables import Tables, header, tables
from mrcert_pl.verification.votes import vote

# A table that was filled lazily decides the verdict whatever its missing entries are; so often they are drawn.
_DRAWS = 2


@dataclass
class Verification:
    """What a comparison found.

    Attributes:
        images: number of images whose verdicts were computed again.
        completed: those whose tables lack entries, which were filled in several ways.
        differences: for each wrong value the image, the column, what was written and what follows from the table.
    """

    images: int = 0
    completed: int = 0
    differences: list[tuple[int | None, str, Any, Any]] = field(default_factory=list)


def verify(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Verification]:
    """Compute every verdict of an evaluation again, and the counts of its result; yields what it has found so far.

    Args:
        result: content of its ``results.json``.
        rows: of its ``verdicts.parquet``.
        folder: of its tables.

    Raises:
        ResultsError: if there are no tables of some images, or they are about other weights than the result.
    """
    made_by = header(folder)
    if made_by["weights_sha256"] != result["weights_sha256"]:
        raise ResultsError(
            f"the tables in {folder} are of other weights than the result; name those of this evaluation with --tables"
        )
    found = Verification()
    _compare_counts(found, result, rows)
    yield found
    decide, mutants = _rule(result["config"], made_by["mutants"])
    written = {row["id"]: row for row in rows}
    draws = np.random.default_rng(0)
    for part in tables(folder, list(written), mutants):
        missing = part.labels < 0
        for filled in _completions(part, missing, draws):
            _compare(found, [written[key] for key in part.ids], filled, decide(filled))
        found.images += len(part.ids)
        found.completed += int(missing.any(1).sum())
        yield found
    if found.images != len(written):
        raise ResultsError(
            f"there are tables of {found.images} of the {len(written)} images in {folder}; "
            "name the store= of this evaluation with --tables"
        )


def _rule(config: Mapping[str, Any], mutants: Mapping[str, Any]) -> tuple[Callable[[Tables], Answers], int]:
    """The defender of a configuration as a function of tables, and the number of mutants that it looks at."""
    settings = dict(config["defender"])
    kind = settings.pop("_target_").rsplit(".", 1)[-1]
    if kind in ("AblationVote", "ColumnVote"):
        shapes = PatchSpec(config["patch"]).shapes_px(tuple(mutants["image_px"]))
        votes = mutants["votes"] + 1
        return lambda t: vote(mutants, shapes, t.labels[:, 1:], t.margins[:, 1:], **settings), votes
    masks = [int(mask, 16) for mask in mutants["masks"]]
    rules: dict[str, tuple[Callable[[Tables], Answers], int]] = {
        "Undefended": (lambda t: undefended(t.labels), 0),
        "PatchCURE": (lambda t: patchcure(masks, t.labels, **settings), 2),
        "MRCert": (lambda t: mrcert(masks, t.labels, t.margins, **settings), 2 * settings.get("patches", 2)),
        "MRCertCascade": (lambda t: cascade(masks, t.labels, t.margins, **settings), 2 * settings.get("patches", 2)),
    }
    if kind not in rules:
        raise ResultsError(f"there is no second implementation of {kind} to verify by; those of {', '.join(rules)} are")
    rule, order = rules[kind]
    return rule, Unions(masks, order).sizes[order]


def _completions(part: Tables, missing: np.ndarray, draws: np.random.Generator) -> Iterator[Tables]:
    """The tables with their missing entries filled in, in several ways; the tables themselves if none is missing."""
    if not missing.any():
        yield part
        return
    nothing = int(part.labels.max()) + 1
    # All like the unmasked image, all a label that nothing has, and any labels, some of them by a hair.
    yield _filled(part, missing, part.labels[:, :1], np.array(np.inf))
    yield _filled(part, missing, np.array(nothing), np.array(np.inf))
    for _ in range(_DRAWS):
        margins = np.where(draws.random(missing.shape) < 0.5, np.inf, 0.0)
        yield _filled(part, missing, draws.integers(nothing + 1, size=missing.shape), margins)


def _filled(part: Tables, missing: np.ndarray, labels: np.ndarray, margins: np.ndarray) -> Tables:
    return Tables(part.ids, np.where(missing, labels, part.labels), np.where(missing, margins, part.margins))


def _compare(found: Verification, rows: Sequence[Mapping[str, Any]], part: Tables, answers: Answers) -> None:
    answers = {"base_prediction": part.labels[:, 0], **answers}
    for number, row in enumerate(rows):
        for name, column in answers.items():
            value = column[number].tolist()
            if row[name] is not None and row[name] != value:
                found.differences.append((row["id"], name, row[name], value))


def _compare_counts(found: Verification, result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """The counts of the result are those of the rows, and each image has one row."""
    clean = [row["prediction"] == row["label"] for row in rows]
    base = [row["base_prediction"] == row["label"] for row in rows]
    certified = [right and row["certified"] for right, row in zip(clean, rows, strict=True)]
    counts = {
        "n": len({row["id"] for row in rows}),
        "base": sum(base),
        "clean": sum(clean),
        "certified": sum(certified),
        "round_trip": sum(right and row["round_trip"] for right, row in zip(clean, rows, strict=True)),
        "adversarial_certified": sum(sure and not read for sure, read in zip(certified, base, strict=True)),
    }
    written = {"n": result["n"]} | {name: share["count"] for name, share in result["accuracy"].items()}
    found.differences += [(None, name, count, counts[name]) for name, count in written.items() if count != counts[name]]
