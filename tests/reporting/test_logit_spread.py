"""The spread of logits that stands beside a margin belongs to the same weights."""

import json
from pathlib import Path

import pytest

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.logit_spread import read_deltas

CONTENT = {"weights_sha256": "ab" * 32, "delta": {"float32": 2e-6, "bfloat16": 0.04}}


def test_the_spread_is_read(tmp_path: Path) -> None:
    file = tmp_path / "numerics.json"
    file.write_text(json.dumps(CONTENT))
    assert read_deltas(file, "ab" * 32) == CONTENT["delta"]
    with pytest.raises(ResultsError, match="about other weights"):
        read_deltas(file, "cd" * 32)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"delta": {}}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "numerics.json"
    file.write_text(text)
    with pytest.raises(ResultsError, match=r"is no numerics\.json.*mrcert audit numerics"):
        read_deltas(file, "ab" * 32)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="No such file"):
        read_deltas(tmp_path / "nowhere.json", "ab" * 32)
