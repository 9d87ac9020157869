"""Counts of an evaluation agree with its number of images."""

from dataclasses import replace

import pytest
from result_files import result_of, row

from mrcert_pl.results import Accuracy, EvaluationResult


def test_accuracies_are_about_all_images_but_one() -> None:
    result = result_of([row(0), row(1)])
    assert EvaluationResult.from_json(result.to_json(), "file") == result
    accuracy = {**result.accuracy, "adversarial_certified": Accuracy(0, 1)}
    assert replace(result, accuracy=accuracy).accuracy["adversarial_certified"].n == 1
    with pytest.raises(ValueError, match=r"accuracy\.clean\.n: must be n = 2, got 1"):
        replace(result, accuracy={"clean": Accuracy(0, 1)})
