"""From a table and verdicts on it to the verdicts of the guard."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mrcert_pl.defenders import PatchCensor, Verdicts
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_masks, window_borders
from mrcert_pl.guard import GuardVerdict, Policy
from mrcert_pl.guard.explain import WindowGeometry, guard_verdicts
from mrcert_pl.guard.verdict import meaning_of, meaning_of_silence
from mrcert_pl.mutants import PredictionTable

PATCH, POLICY = PatchSpec(12), Policy()
# Four columns of 16 px; the masks hide columns 0-1, 1-2 and 2-3.
MODEL = SimpleNamespace(image_px=(64, 64), borders=window_borders((1, 4), (64, 16)))
LATTICE = UnionLattice(covering_masks((1, 4), (64, 16), PATCH), 4, 1)
TABLE = PredictionTable(
    LATTICE,
    torch.tensor([[1, 1, 1, 1], [0, 2, 2, 0], [1, 0, -1, -1], [0, 1, 1, 1]]),
    torch.arange(16).view(4, 4) / 4,
)
VERDICTS = Verdicts(
    label=torch.tensor([1, 2, 1, 1]),
    certified=torch.tensor([True, True, False, False]),
    round_trip=torch.tensor([True, False, False, False]),
    case=torch.tensor([1, 2, 3, 3]),
    witness=torch.tensor([0, 2, -1, -1]),
    certified_patches=torch.tensor([3, 1, -1, -1]),
    safe_masks=torch.tensor([[True, True, True], [True, False, False], [False] * 3, [False] * 3]),
)


def evaluated(table: Any) -> list[int]:
    return list((table.labels >= 0).sum(1).tolist())


def explained(
    verdicts: Verdicts = VERDICTS, table: Any = TABLE, model: Any = MODEL, policy: Policy = POLICY
) -> list[GuardVerdict]:
    return guard_verdicts(
        table, verdicts, evaluated(table), model, PATCH, policy, ["a", "b", "c"], ["0", "1", "2", "3"], 0.5
    )


def test_labels_names_and_costs() -> None:
    found = explained()
    assert [(v.image, v.label, v.name, v.case) for v in found] == [
        ("0", 1, "b", 1),
        ("1", 2, "c", 2),
        ("2", 1, "b", 3),
        ("3", 1, "b", 3),
    ]
    assert [(v.base_label, v.base_name) for v in found] == [(1, "b"), (0, "a"), (1, "b"), (0, "a")]
    assert [v.mutants_evaluated for v in found] == [4, 4, 2, 4]
    assert {v.seconds for v in found} == {0.5}


def test_a_witness_is_windows_and_pixels() -> None:
    found = explained()
    assert [v.witness for v in found] == [(), (1, 2), None, None]
    assert [v.witness_px for v in found] == [(), ((0, 16, 64, 48),), None, None]


def test_a_detector_accepts_or_raises_an_alert_that_says_where() -> None:
    rows = TABLE.rows(torch.tensor([0, 1, 3]))
    found = guard_verdicts(
        rows, PatchCensor().decide(rows), evaluated(rows), MODEL, PATCH, POLICY, ["a", "b", "c"], ["0", "1", "3"], 0.5
    )
    assert [v.decision for v in found] == ["accept", "alert", "alert"]
    assert [v.alert_px for v in found] == [None, ((0, 0, 64, 32),), ((0, 0, 64, 32),)]
    assert [v.label for v in found] == [1, 0, 0]
    assert not any(v.certified for v in found), "a detector recovers nothing"
    assert [v.meaning for v in found] == [meaning_of_silence(PATCH, MODEL.image_px, 1), None, None]
    assert "gets this label or raises an alert" in str(found[0].meaning)
    assert found[1].to_json()["alert_px"] == [[0, 0, 64, 32]]
    labels = PatchCensor().with_output("label").decide(rows)
    lesser = guard_verdicts(rows, labels, evaluated(rows), MODEL, PATCH, POLICY, ["a", "b", "c"], ["0", "1", "3"], 0.5)
    assert [v.decision for v in lesser] == [None, "alert", "alert"]


@pytest.mark.parametrize(
    ("require", "decisions"),
    [
        ("certificate", ["accept", "recovered", "abstain", "abstain"]),
        ("round_trip", ["accept", "abstain", "abstain", "abstain"]),
    ],
)
def test_the_policy_decides(require: Any, decisions: list[str]) -> None:
    assert [v.decision for v in explained(policy=Policy(require))] == decisions


def test_the_margin_is_that_of_the_mutant_with_the_label() -> None:
    # The last image has neither a witness nor the label of the unmasked image.
    assert [v.margin for v in explained()] == [0.0, 1.5, 2.0, None]


def test_a_vote_has_no_margin_and_needs_no_borders() -> None:
    votes = SimpleNamespace(hidden=LATTICE.hidden, __len__=lambda: 4)
    table = SimpleNamespace(mutants=votes, labels=TABLE.labels, margins=None, evaluated=TABLE.labels >= 0)
    verdicts = replace(VERDICTS, witness=torch.full((4,), -1), safe_masks=None)
    found = explained(verdicts, table, SimpleNamespace(image_px=(64, 64)))
    assert [v.margin for v in found] == [None] * 4
    assert [v.certified for v in found] == [True, True, False, False]
    assert {v.maps for v in found} == {()}


def test_maps_and_fraction_of_the_safe_locations() -> None:
    found = explained()
    assert [v.maps[0].shape for v in found] == [(53, 53)] * 4
    # The mask of columns 0 and 1 hides every patch that ends before pixel 32.
    assert torch.equal(found[1].maps[0], (torch.arange(53) <= 20).expand(53, 53))
    assert [v.certified_fraction for v in found] == pytest.approx([1.0, 21 / 53, 0.0, 0.0])


def test_the_meaning_is_that_of_the_certified_patches() -> None:
    assert [v.meaning for v in explained()] == [
        meaning_of(3, PATCH, (64, 64)),
        meaning_of(1, PATCH, (64, 64)),
        None,
        None,
    ]
    # Without a number of patches, a round trip stands for two of them.
    found = explained(replace(VERDICTS, certified_patches=None))
    assert [v.meaning for v in found[:2]] == [meaning_of(2, PATCH, (64, 64)), meaning_of(1, PATCH, (64, 64))]


def test_fields_that_were_not_requested_are_none() -> None:
    label = replace(VERDICTS, certified=None, round_trip=None, certified_patches=None, safe_masks=None)
    for verdict in explained(label):
        assert verdict.decision is None
        assert verdict.certified is None
        assert verdict.round_trip is None
        assert verdict.certified_patches is None
        assert verdict.certified_fraction is None
        assert verdict.meaning is None
        assert verdict.maps == ()


def test_geometry_is_all_that_is_read_of_a_model() -> None:
    assert isinstance(MODEL, WindowGeometry)
    assert not isinstance(SimpleNamespace(borders=MODEL.borders), WindowGeometry)
