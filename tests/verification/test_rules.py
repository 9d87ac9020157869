"""Settings, orders and completed tables of the second implementations."""

from typing import Any

import numpy as np
import pytest

from mrcert_pl.defenders import build
from mrcert_pl.errors import ResultsError
from mrcert_pl.verification.masks import mrcert
from mrcert_pl.verification.rules import bound, completions, order


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("undefended", {}),
        ("patchcure", {}),
        ("patchcure_paper", {}),
        *((name, {}) for name in ("mrcert", "mrcert_sharp", "mrcert_cascade")),
        *((name, {"patches": n}) for name in ("mrcert", "mrcert_sharp", "mrcert_cascade") for n in (1, 3)),
        *((name, {}) for name in ("patchcensor", "hicert", "patchguardpp")),
        *((name, {"at_once": 2}) for name in ("patchcensor", "hicert", "patchguardpp")),
    ],
)
def test_orders_are_those_of_the_defenders(name: str, settings: dict[str, Any]) -> None:
    defender: Any = build(name, **settings)
    assert order(name, settings, stated=99) == defender.order


def test_the_order_of_a_defender_from_outside_is_the_stated_one() -> None:
    assert order("outside", {"patches": 3}, stated=5) == 5


class TestSettings:
    MUTANTS = {"masks": ["1", "2", "4"]}  # noqa: RUF012

    @pytest.mark.parametrize("settings", [{}, {"patches": 1, "margin": 0}, {"patches": 1, "certificate": "sharp"}])
    def test_checked_settings_reach_the_rule(self, settings: dict[str, Any]) -> None:
        labels = np.ones((2, 8), dtype=int)
        decide = bound(mrcert, self.MUTANTS, settings, "mrcert")
        answers = decide(labels, np.ones((2, 8)), np.ones((2, 8)))
        expected = mrcert(self.MUTANTS, labels, np.ones((2, 8)), **settings)
        assert {name: v.tolist() for name, v in answers.items()} == {n: v.tolist() for n, v in expected.items()}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("colour", 1),
            ("patches", 2.0),
            ("patches", True),
            ("patches", None),
            ("margin", True),
            ("margin", "0"),
            ("margin", 10**400),
        ],
    )
    def test_names_and_types(self, name: str, value: Any) -> None:
        with pytest.raises(ResultsError, match=f"the result has {name}={value!r} for mrcert, which its second"):
            bound(mrcert, self.MUTANTS, {name: value}, "mrcert")

    @pytest.mark.parametrize("error", [KeyError("a"), IndexError("a"), ValueError("a"), TypeError("a"), OverflowError])
    def test_what_the_rule_does_not_admit(self, error: Exception) -> None:
        def rule(mutants: Any, labels: Any, margins: Any) -> Any:
            raise error

        with pytest.raises(ResultsError, match=r"the settings \{\} of outside don't fit the mutants of its tables"):
            bound(rule, {}, {}, "outside")(*np.zeros((3, 1, 1)))


class TestCompletions:
    def test_whole_tables_are_left_as_they_are(self) -> None:
        labels, margins = np.array([[0, 2]]), np.array([[0.5, 1.0]])
        assert list(completions(labels, margins, np.random.default_rng(0))) == [(labels, margins)]

    def test_every_kind_of_missing_entry_occurs(self) -> None:
        labels = np.full((20, 40), -1)
        labels[:, :4], labels[:, 4:8] = np.arange(20)[:, None] % 3, 2
        missing, margins = labels < 0, np.where(labels < 0, np.nan, 0.75)
        filled = list(completions(labels, margins, np.random.default_rng(0)))
        for completed, confidences in filled:
            np.testing.assert_array_equal(completed[~missing], labels[~missing])
            np.testing.assert_array_equal(confidences[~missing], margins[~missing])
        *in_turn, distrusted, one, two = filled
        for image in range(20):
            labels_in_turn = [set(completed[image][missing[image]]) for completed, _ in in_turn]
            # Each label of the image, and one that no image has, hence a rival that nothing is known about.
            assert labels_in_turn[0] == {image % 3}
            assert set().union(*labels_in_turn) == {image % 3, 2, 3}
            assert all(map(len, labels_in_turn))
        assert np.isposinf([part[1][missing] for part in in_turn]).all()
        assert (distrusted[0] == labels[:, :1])[missing].all()
        assert (distrusted[1][missing] == 0).all()
        assert (one[0] != two[0]).any()
        for completed, confidences in (one, two):
            assert set(completed[missing]) == {0, 1, 2, 3}
            assert set(confidences[missing]) == {0.0, np.inf}
            assert 0.4 < (confidences[missing] == 0).mean() < 0.6

    def test_complete_images_have_no_turns_of_their_own(self) -> None:
        labels = np.array([[0, 1, 2, 3], [4, -1, 4, 4]])
        filled = [completed for completed, _ in completions(labels, np.ones(labels.shape), np.random.default_rng(0))]
        assert [completed[1, 1] for completed in filled[:2]] == [4, 5]
        assert len(filled) == 2 + 1 + 2
        assert all((completed[0] == labels[0]).all() for completed in filled)

    def test_the_number_of_labels_is_bounded(self) -> None:
        """Each label costs an application of the rule, and a forged table may have as many as entries."""
        labels = np.arange(257)[None]
        labels[0, -1] = -1
        assert len(list(completions(labels, np.ones(labels.shape), np.random.default_rng(0)))) == 256 + 1 + 1 + 2
        more = np.append(labels, [[256]], axis=1)
        with pytest.raises(ResultsError, match="an image with missing entries and 257 labels; 256 are tried"):
            list(completions(more, np.ones(more.shape), np.random.default_rng(0)))
        complete = np.arange(300)[None]
        assert len(list(completions(complete, np.ones(complete.shape), np.random.default_rng(0)))) == 1
