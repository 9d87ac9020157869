"""Tables with missing entries: what no completion contradicts, no labels of the missing entries do."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from mrcert_pl.defenders.registry import rule_of
from mrcert_pl.verification.masks import Unions
from mrcert_pl.verification.rules import completions, order
from mrcert_pl.verification.votes import touched_votes

_SINGLE = {"masks": ["1", "2", "4", "8"], "windows": 6}
_OVERLAPPING = {"masks": ["3", "6", "c"], "windows": 6}
_RULES = [
    *((name, {}) for name in ("patchcure", "patchcure_paper")),
    *((name, {"patches": n}) for name in ("mrcert", "mrcert_sharp", "mrcert_cascade") for n in (1, 2)),
]
_VOTES = {"ablations": "column", "image_px": [4, 18], "width": 2, "stride": 2, "votes": 9, "patch_px": [(2, 2)]}


def verdict_of(answers: Mapping[str, Any], image: int) -> dict[str, Any]:
    return {name: np.asarray(column)[image].tolist() for name, column in answers.items() if column is not None}


def random_tables(mutants: int, margin: float, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Labels that mostly agree, up to four of them missing, and margins of which some are too small."""
    draws = np.random.default_rng(seed)
    for _ in range(150):
        other = draws.random(mutants) < draws.choice([0.05, 0.15, 0.3, 0.5])
        labels = np.where(other, draws.integers(3, size=mutants), draws.integers(2))
        missing = draws.choice(np.arange(1, mutants), draws.integers(1, 4 if margin else 5), replace=False)
        labels[missing] = -1
        margins = np.where(draws.random(mutants) < 0.5, np.inf, margin / 2) if margin else np.ones(mutants)
        margins[missing] = np.nan
        yield labels, margins, missing


def filled(labels: np.ndarray, margins: np.ndarray, missing: np.ndarray, margin: float) -> tuple[np.ndarray, ...]:
    """Every choice of labels for the missing entries, among them one that no other entry has; and of their margins."""
    trusted = (np.inf, 0.0) if margin else (np.inf,)
    chosen = itertools.product(itertools.product(range(4), trusted), repeat=len(missing))
    values = np.array(list(chosen), dtype=float)
    many, confidences = (np.repeat(part[None], len(values), axis=0) for part in (labels, margins))
    many[:, missing], confidences[:, missing] = values[:, :, 0], values[:, :, 1]
    return many, confidences


@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize(("name", "settings"), [*_RULES, ("vot", {}), ("vot_sharp", {})])
def test_a_verdict_that_all_completions_give_holds_for_all_labels(
    name: str, settings: dict[str, Any], margin: float
) -> None:
    rule: Any = rule_of(name)
    decided = undecided = 0
    for number, mutants in enumerate([_VOTES] if name.startswith("vot") else [_SINGLE, _OVERLAPPING]):
        masks = [int(mask, 16) for mask in mutants.get("masks", ())]
        size = len(Unions(masks, order(name, settings, 0)).unions) if masks else 1 + mutants["votes"]
        for labels, margins, missing in random_tables(size, margin, seed=number):
            given = {**settings, "margin": margin}
            found = [
                verdict_of(rule(mutants, *table, **given), 0)
                for table in completions(labels[None], margins[None], np.random.default_rng(0))
            ]
            if any(verdict != found[0] for verdict in found):
                undecided += 1
                continue
            decided += 1
            many = filled(labels, margins, missing, margin)
            answers = rule(mutants, *many, **given)
            assert all(verdict_of(answers, image) == found[0] for image in range(len(many[0])))
    assert decided > 5
    assert undecided > 5


def certificates(rule: Any, mutants: Mapping[str, Any], labels: np.ndarray) -> list[bool]:
    """Whether the image is certified in each completion."""
    tables = completions(labels, np.ones(labels.shape), np.random.default_rng(0))
    return [bool(rule(mutants, *table)["certified"][0]) for table in tables]


def test_votes_withheld_from_the_strongest_rival_are_noticed() -> None:
    """Eleven votes for 1 and seven for 2, of which three are missing: with those for any other label the lead is 7."""
    rule: Any = rule_of("vot")
    mutants = {**_VOTES, "image_px": [4, 36], "votes": 18}
    assert touched_votes(mutants, [(2, 2)]).sum(1).max() == 2
    labels = np.array([[1] * 12 + [2] * 7])
    assert certificates(rule, mutants, labels) == [False]
    labels[0, -3:] = -1
    found = certificates(rule, mutants, labels)
    assert found[:3] == [True, False, True]


def test_an_entry_withheld_from_a_forgeable_level_is_noticed() -> None:
    """Double masking certifies the label 0; all unions that one mask leaves to the attacker could be forged."""
    rule: Any = rule_of("mrcert_cascade")
    size = len(Unions([1, 2, 4, 8], 4).unions)
    draws = np.random.default_rng(1)
    noticed = 0
    for _ in range(400):
        labels = np.where(draws.random(size) < 0.2, draws.integers(1, 3, size=size), 0)[None]
        margins = np.ones(labels.shape)
        if rule(_SINGLE, labels, margins)["certified"][0]:
            continue
        withheld = np.where((labels != 0) & (np.arange(size) > 0), -1, labels)
        found = certificates(rule, _SINGLE, withheld)
        assert not all(found)
        noticed += any(found)
    assert noticed
