"""``mrcert_pl.predict`` from Python."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_tasks import SMALL_VIT

from mrcert_pl import ModelSettings, PredictionSettings, predict
from mrcert_pl.data import ImageError
from mrcert_pl.defenders import OutputLevel
from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.guard import Guard, GuardVerdict
from mrcert_pl.results import TrainingResult
from mrcert_pl.tasks.predict import announce_prediction, guard_of, guard_on
from mrcert_pl.tasks.runtime import log


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photos, with a file between them that is none."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    files = [tmp_path / name for name in ("a.png", "text.jpg", "b.png")]
    for file in files:
        Image.fromarray(pixels).save(file)
    files[1].write_text("no image")
    return files


def test_every_file_gets_a_verdict_or_the_reason(trained: TrainingResult, photos: list[Path]) -> None:
    tracked: list[tuple[str, int]] = []

    def track(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        tracked.append((description, total))
        return items

    checkpoint = Path(str(trained.checkpoint))
    settings = PredictionSettings(photos, checkpoint, batch_size=2, device="cpu", track=track)
    outcomes = list(predict(settings))
    assert [file for file, _ in outcomes] == photos
    assert [type(outcome) for _, outcome in outcomes] == [GuardVerdict, ImageError, GuardVerdict]
    assert tracked == [("Predicting", 3)]
    guard = Guard.from_checkpoint(checkpoint, "mrcert_sharp", device="cpu")
    assert [v.label for v in guard([photos[0], photos[2]])] == [outcomes[0][1].label, outcomes[2][1].label]  # type: ignore[union-attr]


def test_a_lower_output_level_needs_fewer_mutants(trained: TrainingResult, photos: list[Path]) -> None:
    evaluated = []
    for output in (OutputLevel.LABEL, OutputLevel.MAP):
        settings = PredictionSettings(photos[:1], Path(str(trained.checkpoint)), output=output, device="cpu")
        ((_, verdict),) = predict(settings)
        assert isinstance(verdict, GuardVerdict)
        evaluated.append(verdict.mutants_evaluated)
    assert evaluated[0] <= evaluated[1]


def test_a_classifier_without_a_checkpoint(photos: list[Path]) -> None:
    torch.manual_seed(0)
    settings = PredictionSettings(
        photos[:1],
        model=ModelSettings("vit_srf", SMALL_VIT),
        patch=32,
        class_names=["stop", "yield"],
        defender="patchcure",
        device="cpu",
    )
    guard = guard_of(settings)
    assert guard.class_names == ("stop", "yield")
    assert guard_on("cpu", settings).class_names == ("stop", "yield")
    ((_, verdict),) = predict(settings, guard)
    assert isinstance(verdict, GuardVerdict)
    assert verdict.name in ("stop", "yield")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ConfigurationError, "give checkpoint=FILE"),
        ({"model": ModelSettings("vit_srf", SMALL_VIT)}, ConfigurationError, "give checkpoint=FILE"),
        ({"checkpoint": Path("none.ckpt")}, CheckpointError, r"there is no checkpoint none\.ckpt"),
        ({"model": ModelSettings("vit"), "patch": 32}, ConfigurationError, "unknown model 'vit'"),
        ({"model": ModelSettings("vit_srf", SMALL_VIT), "patch": 32, "device": "tpu"}, ConfigurationError, "'tpu'"),
        ({"checkpoint": Path("none.ckpt"), "defender": "mrcrt"}, ConfigurationError, "unknown defender 'mrcrt'"),
    ],
)
def test_what_cannot_work(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(predict(PredictionSettings(**settings)))


def test_progress_within_a_batch(trained: TrainingResult, photos: list[Path]) -> None:
    reported: list[float] = []

    class Tracking:
        def __call__(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
            return items

        within = staticmethod(reported.append)

    settings = PredictionSettings(
        photos[:1], Path(str(trained.checkpoint)), batch_size=4, token_budget=64, device="cpu", track=Tracking()
    )
    list(predict(settings))
    assert len(reported) > 1
    assert reported == sorted(reported)
    assert 0 < reported[0] < reported[-1] <= 4


def test_the_header_of_a_prediction(
    trained: TrainingResult, photos: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, *values: logged.append(message % values))
    settings = PredictionSettings(photos, Path(str(trained.checkpoint)), device="cpu")
    announce_prediction(settings, guard_of(settings), tmp_path)
    (header,) = logged
    assert header.startswith("3 images; ViTSRF; defender mrcert_sharp; masks ")
    assert header.endswith(f"\ncpu, 32-true, in {tmp_path}")
