"""Facts in a checkpoint are checked before they are used."""

from pathlib import Path
from typing import Any

import pytest

from mrcert_pl.errors import CheckpointError
from mrcert_pl.guard.origin import Origin

FILE = Path("best.ckpt")


def test_facts_and_their_defaults() -> None:
    assert Origin.of({}, FILE) == Origin(None, None, "crop", 1)
    facts = {"patch": "16x48", "classes": ["a", "b"], "resize": "whole", "stride": [1, 2], "name": "vit_srf"}
    assert Origin.of(facts, FILE) == Origin("16x48", ["a", "b"], "whole", (1, 2))
    # Earlier versions state the data set instead.
    assert Origin.of({"dataset": "digits"}, FILE).resize == "whole"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patch", ["16", {}]),
        ("patch", True),
        ("classes", "abc"),
        ("classes", [1, 2]),
        ("classes", {"a": 1}),
        ("stride", 1.5),
        ("stride", True),
        ("stride", [1]),
        ("stride", "1"),
        ("resize", ["crop"]),
        ("dataset", 3),
    ],
)
def test_values_of_another_type_are_refused(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"best.ckpt states {name}"):
        Origin.of({name: value}, FILE)
