import json
from typing import Any

import pytest

from mrcert_pl.data.attacked_facts import AttackedFacts, parse_facts
from mrcert_pl.plain import FieldError

FACTS: dict[str, Any] = {
    "id": 7,
    "label": 1,
    "path": "digits/7",
    "placement": {"top": 2, "left": 5, "height": 4, "width": 3},
    "loss": 1.5,
    "clean_prediction": 1,
    "prediction": 0,
    "success": True,
    "start": 0,
    "step": 3,
}


def parsed(text: object) -> AttackedFacts:
    return parse_facts(text, 7, num_classes=2, size=(6, 8))


def test_facts_come_back() -> None:
    """Fields that are unknown are not read."""
    facts = parsed(json.dumps(FACTS | {"later": 1}))
    assert facts.to_json() == FACTS
    assert parsed(json.dumps(facts.to_json())) == facts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, "label: must be less than 2, got 2"),
        ({"label": -1}, "label: must be"),
        ({"label": True}, "label: must be"),
        ({"prediction": 1.0}, "prediction: must be"),
        ({"clean_prediction": None}, "clean_prediction: must be"),
        ({"id": 3}, "it is the image 3 under the id 7"),
        ({"path": "a\x1b[2Jb"}, "path: must be printable text"),
        ({"placement": None}, "placement: must be an array or an object"),
        (
            {"placement": {"top": 5, "left": 5, "height": 2, "width": 3}},
            r"\(5, 5, 2, 3\) is not inside the image of 6 x 8",
        ),
        ({"placement": {"top": 0, "left": 0, "height": 0, "width": 3}}, "placement.height: must be greater"),
        ({"placement": {"top": -1, "left": 0, "height": 2, "width": 3}}, r"placement\.top: must be"),
        ({"loss": "high"}, "loss: must be a valid number"),
        ({"loss": float("nan")}, "loss: must be a finite number"),
        ({"success": "yes"}, "success: must be a valid boolean"),
        ({"success": False}, "contradicts label 1 and prediction 0"),
        ({"start": 2**63}, "start: must be"),
    ],
)
def test_facts_that_cannot_be_true_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        parsed(json.dumps(FACTS | changes))


@pytest.mark.parametrize("text", [None, 7, "", "[]", "{", '"facts"'])
def test_facts_that_are_none(text: object) -> None:
    with pytest.raises(FieldError):
        parsed(text)
