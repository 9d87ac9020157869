"""Detectors: entries, settings and errors; their certificates are in guarantees/test_detection_guarantees.py."""

import math
from typing import Any

import pytest
import torch

from mrcert_pl.defenders import HiCert, OutputLevel, PatchCensor, PatchGuardPlusPlus, build
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import MutantEvaluator, PredictionTable

NESTED = UnionLattice((0b0001, 0b0011, 0b0100, 0b1000), 4, 2, allow_blind=True)


def test_only_unions_inside_no_other_are_asked() -> None:
    unions = [NESTED.unions[column] for column in NESTED.maximal(1)]
    assert unions == [0b0011, 0b0100, 0b1000]
    pairs = [NESTED.unions[column] for column in NESTED.maximal(2)]
    assert sorted(pairs) == [0b0111, 0b1011, 0b1100]
    queries = PatchCensor(at_once=2).next_queries(PredictionTable.empty(NESTED, 1))
    assert {NESTED.unions[column] for column in queries[0].nonzero()[:, 0]} == {0, *pairs}


@pytest.mark.parametrize("level", list(OutputLevel))
def test_a_detector_asks_for_nothing_more_at_any_level(level: OutputLevel) -> None:
    detector = PatchCensor().with_output(level)
    table = PredictionTable.empty(NESTED, 2)
    table.labels[detector.next_queries(table)] = 1
    assert not detector.next_queries(table).any()
    verdicts = detector.decide(table)
    assert verdicts.alert is not None
    assert (verdicts.detects is None) == (level == OutputLevel.LABEL)


def test_the_first_mutant_that_alerts_is_named() -> None:
    table = PredictionTable.empty(NESTED, 2)
    table.labels[:] = 1
    table.labels[1, 3:] = 0
    assert PatchCensor().decide(table).alert.tolist() == [-1, 3]


def test_confidences_come_from_the_evaluator(tiny_vit: ViTSRF) -> None:
    detector = HiCert(0.5)
    lattice = detector.mutants(tiny_vit, PatchSpec(32))
    table = MutantEvaluator(tiny_vit, lattice).evaluate(torch.rand(2, 3, 224, 224), detector)
    assert table.log_odds is not None
    assert not table.log_odds[table.evaluated].isnan().any()
    confidence = table.log_odds.sigmoid()
    low = ((confidence < 0.5) & (torch.arange(len(lattice)) > 0)).any(1)
    other = (table.labels != table.labels[:, :1]).any(1)
    assert torch.equal(detector.decide(table).alert >= 0, low | other)


@pytest.mark.parametrize("log_odds", [None, torch.full((1, len(NESTED)), math.nan)])
def test_tables_without_confidences_say_what_to_do(log_odds: torch.Tensor | None) -> None:
    table = PredictionTable(NESTED, torch.ones(1, len(NESTED)).long(), None, log_odds)
    PatchCensor().decide(table)
    with pytest.raises(ConfigurationError, match=r"have none: .* evaluate again with another folder as store="):
        HiCert().decide(table)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("hicert", {"threshold": 1.5}, "must be from 0 to 1, got 1.5"),
        ("patchguardpp", {"threshold": -0.1}, "must be from 0 to 1, got -0.1"),
        ("hicert", {"threshold": math.nan}, "must be from 0 to 1, got nan"),
        ("patchcensor", {"at_once": 0}, "at least one, not 0"),
        ("patchcensor", {"at_once": 10**9}, "at most 100 patches, got 1000000000"),
        ("patchcensor", {"margin": -1.0}, "can't be negative"),
    ],
)
def test_settings_out_of_range(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(name, **settings)


def test_thresholds_as_log_odds() -> None:
    ends = [PatchGuardPlusPlus(threshold).log_odds_threshold for threshold in (0.0, 0.5, 1.0)]
    assert ends == [-math.inf, 0.0, math.inf]
    assert HiCert(0.8).log_odds_threshold == pytest.approx(math.log(4))


def test_a_model_without_masks_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="PatchCensor hides windows of a grid"):
        PatchCensor().mutants(object(), PatchSpec(32))


def test_only_the_confidences_that_a_detector_asks_for_must_be_there() -> None:
    wanted = HiCert().next_queries(PredictionTable.empty(NESTED, 1))
    assert 0 < int(wanted.sum()) < len(NESTED)
    labels, odds = torch.ones(1, len(NESTED)).long(), torch.full((1, len(NESTED)), 5.0)
    HiCert().decide(PredictionTable(NESTED, labels, None, odds.masked_fill(~wanted, math.nan)))
    for column in wanted[0].nonzero()[:, 0]:
        missing = odds.clone()
        missing[0, column] = math.nan
        with pytest.raises(ConfigurationError, match="have none"):
            HiCert().decide(PredictionTable(NESTED, labels, None, missing))
