"""What results have in common is consistent with itself."""

import pytest

from mrcert_pl.results import Accuracy, Environment, MutantFacts, SeedAccuracy


def test_an_accuracy_is_a_fraction_of_its_images() -> None:
    assert Accuracy(3, 4).measured == 0.75
    assert Accuracy(0, 0).measured is None
    assert SeedAccuracy(0.5, None, (2,)).measured == 0.5
    with pytest.raises(ValueError, match="count: must be at most n = 4, got 5"):
        Accuracy(5, 4)


def test_this_environment() -> None:
    here = Environment.here("1 x cpu", "32-true")
    assert {"python", "torch", "mrcert_pl"} <= here.versions.keys()


def test_facts_of_mutants() -> None:
    assert MutantFacts.of({"masks": 3, "unions": 7}) == MutantFacts("unions", {"masks": 3, "unions": 7})
    assert MutantFacts.of({"ablations": "column", "votes": 9}) == MutantFacts("column", {"votes": 9})
