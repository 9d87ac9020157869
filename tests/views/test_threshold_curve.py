"""The curve of thresholds shows what was measured."""

from pathlib import Path

from mrcert_pl.results import Accuracy, Environment, ThresholdResult, ThresholdRow
from mrcert_pl.views.threshold_curve import draw_thresholds

ABOUT = {
    "dataset": "digits",
    "model": "vit_srf",
    "patch": 16,
    "seed": 0,
    "weights_sha256": "0",
    "defender": "x",
    "n": 10,
}


def curve(tmp_path: Path, name: str, rows: list[ThresholdRow]) -> str:
    environment = Environment({}, "Linux", "cpu", "32-true")
    result = ThresholdResult(**ABOUT, environment=environment, rows=tuple(rows))  # type: ignore[arg-type]
    return draw_thresholds(tmp_path / f"{name}.svg", result).read_text()


def row(threshold: float, mutants: float, **counts: int) -> ThresholdRow:
    return ThresholdRow(threshold, {name: Accuracy(count, 10) for name, count in counts.items()}, mutants)


def test_recovery_against_mutants(tmp_path: Path) -> None:
    rows = [row(t, m, base=9, clean=9, certified=c, round_trip=0) for t, m, c in ((0.7, 60, 8), (0.25, 46, 7))]
    drawn = curve(tmp_path, "recovery", rows)
    for words in (
        "x by threshold: digits, patch 16 px, 10 images",
        "mutants per image",
        ">0.25<",
        ">0.7<",
        "certified",
    ):
        assert words in drawn
    # Nothing has a round trip.
    assert "round trip" not in drawn
    assert drawn == curve(tmp_path, "again", rows)


def test_detection_against_alerts(tmp_path: Path) -> None:
    rows = [
        row(t, 10, base=9, clean=9, certified_detection=d, certified_ratio=d, alerts=a)
        for t, d, a in ((0, 5, 1), (1, 9, 10))
    ]
    drawn = curve(tmp_path, "detection", rows)
    for words in ("clean images with an alert", "ratio", "detection", "100%"):
        assert words in drawn
