"""Results are consistent with themselves."""

from dataclasses import fields, replace

import pytest
from result_files import ENVIRONMENT, result_of, row

from mrcert_pl.results import (
    Accuracy,
    CertificateAuditResult,
    Environment,
    EvaluationResult,
    MutantFacts,
    SeedAccuracy,
    VerdictRow,
    VerificationReport,
)
from mrcert_pl.results.schema import Difference
from mrcert_pl.results.verdicts import SCHEMA


def test_the_predicates_of_a_row() -> None:
    both = {"certified": True, "round_trip": True}
    correct, wrong = row(0, **both), row(0, prediction=0, **both)
    assert (correct.correct, correct.correct_and_certified, correct.correct_and_round_trip) == (True, True, True)
    assert (wrong.correct, wrong.correct_and_certified, wrong.correct_and_round_trip) == (False, False, False)
    assert not row(0, round_trip=True).correct_and_certified
    assert not row(0, base_prediction=0).base_correct


def test_rows_have_the_columns_of_their_file() -> None:
    assert [field.name for field in fields(VerdictRow)] == SCHEMA.names


def test_an_accuracy_is_a_fraction_of_its_images() -> None:
    assert Accuracy(3, 4).measured == 0.75
    assert Accuracy(0, 0).measured is None
    assert SeedAccuracy(0.5, None, (2,)).measured == 0.5
    with pytest.raises(ValueError, match="count: must be at most n = 4, got 5"):
        Accuracy(5, 4)


def test_accuracies_are_about_all_images_but_one() -> None:
    result = result_of([row(0), row(1)])
    assert EvaluationResult.from_json(result.to_json(), "file") == result
    accuracy = {**result.accuracy, "adversarial_certified": Accuracy(0, 1)}
    assert replace(result, accuracy=accuracy).accuracy["adversarial_certified"].n == 1
    with pytest.raises(ValueError, match=r"accuracy\.clean\.n: must be n = 2, got 1"):
        replace(result, accuracy={"clean": Accuracy(0, 1)})


def test_counts_of_an_audit_are_nested() -> None:
    facts = {"dataset": "digits", "model": "vit_srf", "patch": 16, "defender": "mrcert", "environment": ENVIRONMENT}
    broken = {"labels_broken": 0, "certificates_broken": 0, "placements": 4, "attacks": (), "weights_sha256": "ab"}
    with pytest.raises(ValueError, match="certified: must lie between"):
        CertificateAuditResult(**facts, **broken, seed=0, images=3, certified=1, round_trip=2)


def test_this_environment() -> None:
    here = Environment.here("1 x cpu", "32-true")
    assert {"python", "torch", "mrcert_pl"} <= here.versions.keys()


def test_facts_of_mutants() -> None:
    assert MutantFacts.of({"masks": 3, "unions": 7}) == MutantFacts("unions", {"masks": 3, "unions": 7})
    assert MutantFacts.of({"ablations": "column", "votes": 9}) == MutantFacts("column", {"votes": 9})


def test_a_report_keeps_any_value() -> None:
    difference = Difference(3, "safe_masks", [True, None], [False, False])
    report = VerificationReport("outputs", "mrcert", 5, differences=(difference,))
    assert VerificationReport.from_json(report.to_json(), "file") == report
