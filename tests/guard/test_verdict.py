"""Verdicts as JSON, and the statement of a certificate."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from mrcert_pl.geometry import PatchSpec
from mrcert_pl.guard import GuardVerdict
from mrcert_pl.guard.verdict import meaning_of

VERDICT = GuardVerdict(
    image="a.png",
    label=1,
    name="cat",
    decision="recovered",
    certified=True,
    certified_patches=1,
    round_trip=False,
    case=2,
    witness=(0, 3),
    witness_px=((0, 0, 16, 16),),
    certified_fraction=0.5,
    margin=0.25,
    base_label=0,
    base_name="dog",
    mutants_evaluated=7,
    seconds=0.125,
    meaning="...",
    maps=(torch.ones(2, 2, dtype=torch.bool),),
)


def test_json_has_every_field_but_the_maps() -> None:
    values = VERDICT.to_json()
    assert json.loads(json.dumps(values)) == values
    assert list(values) == GuardVerdict.columns()
    assert values["witness"] == [0, 3]
    assert values["witness_px"] == [[0, 0, 16, 16]]
    assert "maps" not in values
    nothing = replace(VERDICT, witness=None, witness_px=None).to_json()
    assert nothing["witness"] is None
    assert nothing["witness_px"] is None


def test_a_verdict_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        VERDICT.label = 0  # type: ignore[misc]


def test_the_statement_names_number_and_shapes() -> None:
    patch = PatchSpec("2x3,3x2")
    assert "at most 1 patch of at most 2x3 or 3x2 px gets this label" in meaning_of(1, patch, (8, 8))
    assert "at most n patches of" in meaning_of(None, patch, (8, 8))
