"""Predicates and columns of verdict rows."""

from dataclasses import fields

from result_files import row

from mrcert_pl.results import VerdictRow
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
