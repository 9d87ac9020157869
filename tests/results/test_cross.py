"""Two defenders that check each other: every move of an attacker against both at once, counts, and bad input."""

from pathlib import Path

import pytest
import torch
from reference.patch_game import PatchGame, small_lattice
from reference.vote_tables import ablations_of, all_tables, table_of
from result_files import evaluation, row

from mrcert_pl.defenders import AblationVote, Defender, MRCert, PatchCURE
from mrcert_pl.errors import ResultsError
from mrcert_pl.results.cross import ANY_LABEL, NO_LABEL, CrossVerdict, cross_result, cross_verdict, cross_verdicts
from mrcert_pl.results.schema import ADVERSARIAL, Accuracy, CrossResult

COLUMNS = 4


def broken(verdicts: list[CrossVerdict], groups: list[int]) -> int:
    """How many promises a patched version breaks; the versions of one image have the same group."""
    versions: dict[int, set[tuple[int, bool]]] = {}
    for verdict, group in zip(verdicts, groups, strict=True):
        versions.setdefault(group, set()).add((verdict.prediction, verdict.alert))
    wrong = 0
    for verdict, group in zip(verdicts, groups, strict=True):
        for label, alert in versions[group]:
            detected = alert or verdict.detects == label
            wrong += (verdict.detects != NO_LABEL and not detected) or (
                verdict.unwavering and (alert or label != verdict.prediction)
            )
    return wrong


def both_ways(masking: Defender) -> tuple[list[list[CrossVerdict]], list[list[int]]]:
    """Cross-check every table of a masking defender with every table of a vote; groups for each column of the patch."""
    lattice = small_lattice("4 single windows", 2)
    game = PatchGame(lattice, 2)
    ablations = ablations_of((1, COLUMNS), 1, 1, "column", (1, 1))
    votes = all_tables(COLUMNS, 2)
    one, two = masking.decide(game.table), AblationVote("sharp").decide(table_of(ablations, votes))
    rows = [
        [row(number, prediction=int(label), certified=bool(safe)) for number, (label, safe) in enumerate(pairs)]
        for pairs in (zip(v.label, v.certified, strict=True) for v in (one, two))  # type: ignore[arg-type]
    ]
    product = [(a, b) for a in range(len(rows[0])) for b in range(len(rows[1]))]
    verdicts = [
        [cross_verdict(rows[0][a], rows[1][b]) for a, b in product],
        [cross_verdict(rows[1][b], rows[0][a]) for a, b in product],
    ]
    groups = []
    for column in range(COLUMNS):
        kept = game.attackers[column]
        mine = (game.table.labels[:, kept] << torch.arange(int(kept.sum()))).sum(1).tolist()
        seen = [other for other in range(COLUMNS) if other != column]
        theirs = (votes[:, seen] << torch.arange(len(seen))).sum(1).tolist()
        groups.append([mine[a] * 2**COLUMNS + theirs[b] for a, b in product])
    return verdicts, groups


@pytest.mark.parametrize("masking", [PatchCURE(), MRCert(1)], ids=["double masking", "MRCert"])
def test_no_patch_breaks_a_promise(masking: Defender) -> None:
    """Theorem 23, whichever of the two gives the label."""
    verdicts, groups = both_ways(masking)
    for side in verdicts:
        assert sum(broken(side, group) for group in groups) == 0
        assert {verdict.detects for verdict in side} == {NO_LABEL, ANY_LABEL, 0, 1}
        assert any(verdict.unwavering for verdict in side)


@pytest.mark.parametrize("mistake", ["one certificate makes unwavering", "certified without a certificate"])
def test_planted_mistakes_are_found(mistake: str) -> None:
    verdicts, groups = both_ways(PatchCURE())
    wrong = [
        CrossVerdict(
            v.id,
            v.label,
            v.prediction,
            v.alert,
            v.prediction if mistake.startswith("certified") else v.detects,
            (v.detects != NO_LABEL and not v.alert) if mistake.startswith("one") else v.unwavering,
        )
        for v in verdicts[0]
    ]
    assert sum(broken(wrong, group) for group in groups) > 0


def test_counts(tmp_path: Path) -> None:
    certified = {"certified": True}
    # All have the true label 1: both certified, one certified, certified and an alert, certified for something else.
    a = evaluation(
        tmp_path / "a", [row(0, **certified), row(1), row(2, **certified), row(3, prediction=0), row(4, prediction=0)]
    )
    b = evaluation(
        tmp_path / "b",
        [row(4, **certified), row(3, prediction=0, **certified), row(2, prediction=0), row(1), row(0, **certified)],
    )
    verdicts = cross_verdicts(a, b)
    assert [v.detects for v in verdicts] == [1, NO_LABEL, 1, 0, 1]
    assert [v.alert for v in verdicts] == [False, False, True, False, True]
    result = cross_result(a, b, verdicts)
    counts = {name: accuracy.count for name, accuracy in result.accuracy.items()}
    assert counts == {"clean": 3, "certified_detection": 2, "unwavering": 1, "certified_ratio": 3, "alerts": 2}
    result.write(tmp_path / "cross.json")
    assert CrossResult.read(tmp_path / "cross.json") == result


def test_an_attacked_set_counts_alerts_on_harmful_images(tmp_path: Path) -> None:
    rows = [row(0, prediction=0), row(1, prediction=0), row(2)]
    a, b = (
        evaluation(tmp_path / name, part, accuracy={ADVERSARIAL: Accuracy(0, 2)})
        for name, part in (("a", rows), ("b", [row(0), row(1, prediction=0), row(2)]))
    )
    found = cross_result(a, b, cross_verdicts(a, b)).accuracy["harmful_alerts"]
    assert (found.count, found.n) == (1, 2)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"defender": "undefended"}, "recovers no label"),
        ({"patch": 32}, "evaluate both for the same patch="),
        ({"dataset": "cifar10"}, "a is about digits, .*b about cifar10"),
    ],
)
def test_evaluations_that_do_not_fit(tmp_path: Path, facts: dict, message: str) -> None:
    a, b = evaluation(tmp_path / "a", [row(0)]), evaluation(tmp_path / "b", [row(0)], **facts)
    with pytest.raises(ResultsError, match=message):
        cross_verdicts(a, b)


def test_other_images(tmp_path: Path) -> None:
    a, b = evaluation(tmp_path / "a", [row(0)]), evaluation(tmp_path / "b", [row(1)])
    with pytest.raises(ResultsError, match="different images"):
        cross_verdicts(a, b)
