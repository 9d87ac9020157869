"""Results of version 1: every field is translated, and damaged ones are refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mrcert_pl.errors import ResultsError
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Document
from mrcert_pl.results.schema import (
    AttackResult,
    BenchmarkResult,
    CertificateAuditResult,
    EvaluationResult,
    NumericsResult,
)

VERSION_1 = Path(__file__).parent / "version_1"
FILES: dict[str, type[Document]] = {
    "eval/results.json": EvaluationResult,
    "attack/results.json": AttackResult,
    "certificates.json": CertificateAuditResult,
    "numerics.json": NumericsResult,
    "bench.json": BenchmarkResult,
}
FLAT = {"python": "3.11", "torch": "2.15", "platform": "Linux", "device": "cpu", "precision": "32-true"}
NESTED = {
    "platform": "Linux",
    "device": "cpu",
    "precision": "32-true",
    "versions": {"python": "3.11", "torch": "2.15"},
}
CONFIG = {"dataset": {"name": "digits", "limit": 3}, "model": {"name": "vit_srf"}, "patch": 32, "checkpoint": "a.ckpt"}
SUBJECT = {"dataset": "digits", "model": "vit_srf", "patch": 32, "checkpoint": "a.ckpt"}


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({"masks": 12, "unions": 439}, {"kind": "unions", "sizes": {"masks": 12, "unions": 439}}),
        ({"ablations": "row", "votes": 224}, {"kind": "row", "sizes": {"votes": 224}}),
    ],
)
def test_mutants(summary: dict[str, Any], expected: dict[str, Any]) -> None:
    assert upgrade.mutants(summary) == expected


def test_an_evaluation() -> None:
    config = {"defender": {"_target_": "module.MRCert", "patches": 2}}
    content = {"n": 5, "environment": FLAT, "config": config, "mutants": {"masks": 12}}
    assert upgrade.evaluation(content) == {
        "n": 5,
        "environment": NESTED,
        "config": config,
        "defender_settings": {"patches": 2},
        "mutants": {"kind": "unions", "sizes": {"masks": 12}},
    }
    assert upgrade.evaluation({**content, "mutants": None})["mutants"] is None
    content.pop("mutants")
    assert "mutants" not in upgrade.evaluation(content)


def test_an_attack() -> None:
    settings = {"attack": "ifgsm", "starts": 2}
    accuracy = {"base_before": {"count": 3, "n": 3}, "base_after": {"count": 1, "n": 3}}
    content = {"n": 3, "environment": FLAT, "accuracy": accuracy, "attack": settings}
    assert upgrade.attack(content) == {
        "n": 3,
        "environment": NESTED,
        "before": accuracy["base_before"],
        "after": accuracy["base_after"],
        "attack": "ifgsm",
        "attack_settings": {"starts": 2},
    }
    # The content that was given is left as it is.
    assert settings == {"attack": "ifgsm", "starts": 2}


@pytest.mark.parametrize(("labels", "certificates"), [(0, 0), (0, 2), (1, 2)])
def test_an_audit_of_certificates(labels: int, certificates: int) -> None:
    """Broken certificates of one attack are unknown unless there are none at all."""
    broken = {"labels_broken": labels, "certificates_broken": certificates}
    content = {**broken, "attacks": {"ifgsm": 9, "random": 4}, "environment": FLAT, "config": CONFIG}
    found = upgrade.certificate_audit(content)
    each = {"labels_broken": None if labels else 0, "certificates_broken": None if certificates else 0}
    assert found["attacks"] == [{"name": "ifgsm", "tried": 9, **each}, {"name": "random", "tried": 4, **each}]
    assert {name: found[name] for name in broken} == broken
    assert {name: found[name] for name in SUBJECT} == SUBJECT
    assert found["environment"] == NESTED


def test_numerics() -> None:
    spreads = [{"way": "one thread", "delta": 0.5}, {"way": "bfloat16", "delta": 1.5}]
    found = upgrade.numerics({"spreads": spreads, "environment": FLAT, "config": {**CONFIG, "checkpoint": None}})
    assert found["spreads"] == [{"method": "one thread", "delta": 0.5}, {"method": "bfloat16", "delta": 1.5}]
    assert {name: found[name] for name in SUBJECT} == {**SUBJECT, "checkpoint": None}


def test_a_benchmark() -> None:
    rows = [{"way": "direct", "peak_mib": 7.5}, {"way": "engine", "peak_mib": math.nan}]
    found = upgrade.benchmark({"rows": rows, "environment": FLAT, "mutants": {"masks": 12}})
    assert found["rows"] == [{"method": "direct", "peak_mib": 7.5}, {"method": "engine", "peak_mib": None}]
    assert found["mutants"] == {"kind": "unions", "sizes": {"masks": 12}}
    assert found["environment"] == NESTED


@pytest.mark.parametrize("name", FILES)
def test_files_of_version_1_are_valid_results(name: str) -> None:
    text = (VERSION_1 / name).read_text()
    document = FILES[name].read(VERSION_1 / name)
    # What is read is a result of the present version.
    assert FILES[name].from_json(document.to_json(), name) == document
    assert json.loads(document.to_json())["environment"]["device"] == json.loads(text)["environment"]["device"]


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_of_version_1_are_refused_by_name(name: str) -> None:
    content = json.loads((VERSION_1 / name).read_text())
    damaged = [{k: v for k, v in content.items() if k != field} for field in ("environment", "seed", "n", "images")]
    damaged += [{**content, field: other} for field in content for other in (None, 7, "x", [], [1], {}, {"x": None})]
    refused = []
    for changed in damaged:
        try:
            FILES[name].from_json(json.dumps(changed), "here.json")
        except ResultsError as error:
            refused.append(str(error))
    assert all(message.startswith("here.json is not a valid result of ") for message in refused)
    assert len(refused) > len(content)
