"""The second implementation of votes agrees with the defender and with an attacker who tries every vote."""

from typing import Any

import numpy as np
import pytest
import torch
from agreement import arrays, assert_same
from reference.vote_tables import ablations_of, all_tables, changeable, plurality, table_of, unions

from mrcert_pl.defenders import AblationVote
from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec
from mrcert_pl.mutants.table import PredictionTable
from mrcert_pl.verification.votes import _counted, touched_votes, vote, vote_sharp


@pytest.mark.parametrize("kind", ["column", "row", "both", "block"])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_votes(kind: str, margin: float) -> None:
    ablations = PatchedAblations(Ablations((8, 10), 2, 1 if kind != "block" else 2, kind), PatchSpec((1, 2)))  # type: ignore[arg-type]
    votes = torch.where(torch.rand(200, len(ablations)) < torch.rand(200, 1), 1, torch.randint(3, (200, 1)))
    votes = torch.where(torch.rand(votes.shape) < 0.05, torch.randint(4, votes.shape), votes)
    table = PredictionTable(ablations, votes, torch.rand(votes.shape).pow(0.05))
    labels, margins = arrays(table)
    assert touched_votes(ablations.identity(), [(1, 2)]).sum(1).max() == ablations.delta
    for certificate in ("paper", "sharp"):
        verdicts = AblationVote(certificate, margin).decide(table)
        mutants = {**ablations.identity(), "patch_px": [(1, 2)]}
        answers = vote(mutants, labels, margins, certificate, margin)
        assert_same(verdicts, answers)
        assert 0 < verdicts.certified.float().mean() < 1


@pytest.mark.parametrize("kind", ["column", "row", "both", "block"])
@pytest.mark.parametrize(("stride", "shapes"), [(1, [(1, 2)]), (2, [(3, 3)]), (3, [(2, 1), (1, 4)])])
def test_touched_votes_are_those_that_show_a_pixel_of_the_patch(
    kind: str, stride: int, shapes: list[tuple[int, int]]
) -> None:
    height, width = 5, 6
    ablations = Ablations((height, width), 2, stride, kind)
    rows, columns = ~ablations.hidden[1:, :height].numpy(), ~ablations.hidden[1:, height:].numpy()
    shown = rows[:, :, None] & columns[:, None]
    expected = {
        tuple(shown[:, top : top + h, left : left + w].any((1, 2)).tolist())
        for h, w in shapes
        for top in range(height - h + 1)
        for left in range(width - w + 1)
    }
    found = touched_votes(ablations.identity(), shapes)
    assert {tuple(row) for row in found.tolist()} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(("width", "patch"), [(1, 1), (2, 1), (1, 2)])
def test_the_sharp_certificate_holds_where_no_attacker_succeeds(width: int, patch: int) -> None:
    ablations = ablations_of((2, 5), width, 1, "column", patch)
    votes = all_tables(5, 3)
    labels, margins = arrays(table_of(ablations, votes, torch.ones(votes.shape)))
    mutants = {**ablations.identity(), "patch_px": [(patch, patch)]}
    answers = vote_sharp(mutants, labels, margins)
    assert answers["prediction"].tolist() == plurality(votes).tolist()
    broken = [changeable(plurality(votes), 5, 3, unions(ablations.touched, patches)).numpy() for patches in (1, 2)]
    for name, found in zip(("certified", "round_trip"), broken, strict=True):
        np.testing.assert_array_equal(answers[name], ~found)
    np.testing.assert_array_equal(answers["certified_patches"], (~np.stack(broken)).sum(0))
    paper = vote(mutants, labels, margins)
    assert not (paper["certified"] & ~answers["certified"]).any()
    assert not (paper["round_trip"] & ~answers["round_trip"]).any()
    assert answers["certified"].any()


def test_unknown_certificate() -> None:
    ablations = ablations_of((2, 5), 1, 1, "column", 1)
    labels, margins = arrays(table_of(ablations, all_tables(5, 1), torch.ones(1, 5)))
    with pytest.raises(ResultsError, match="unknown certificate 'none'; the second implementation has paper, sharp"):
        vote({**ablations.identity(), "patch_px": [(1, 1)]}, labels, margins, "none")


@pytest.mark.parametrize(("free", "certified"), [(0, True), (1, True), (2, False)])
def test_votes_in_doubt_go_to_the_rival_of_a_count(free: int, certified: bool) -> None:
    """Nine votes against two, of which each patch touches one: a lead of 7, 5 and 3 must be above 4."""
    votes, doubtful = np.array([1] * 9 + [0] * 2), np.arange(11) < free
    assert _counted(np.eye(11, dtype=bool), votes, doubtful, 1, 2) == certified


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_px": [2**20, 2**20], "stride": 1}, "pixels of ablations"),
        ({"image_px": [2**20, 224], "stride": 1}, "pixels of ablations"),
        ({"ablations": "block", "image_px": [2**12, 2**12], "stride": 1}, "pixels of ablations"),
        ({"ablations": "block", "image_px": [224, 224], "stride": 1}, "sets of votes"),
    ],
)
def test_enumerations_are_bounded(changed: dict[str, Any], message: str) -> None:
    ablations = {"ablations": "column", "width": 19, "stride": 19, "image_px": [224, 224], **changed}
    with pytest.raises(ResultsError, match=message):
        touched_votes(ablations, [(32, 32)])
