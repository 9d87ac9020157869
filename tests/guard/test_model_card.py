"""The model card states what is known and nothing else."""

from pathlib import Path

import pytest
import yaml
from small_models import kinds, save

from mrcert_pl import Guard
from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.guard import MeasuredAccuracy
from mrcert_pl.guard.model_card import model_card

KIND = kinds()["vit_srf"]


def test_results_come_with_counts_and_intervals() -> None:
    card = model_card(
        Guard(KIND.model, "mrcert_sharp", 1, ["a|b", "c", "d", "e", "<script>"]),
        [MeasuredAccuracy("certified accuracy", 62, 100), MeasuredAccuracy("clean accuracy", 0, 5)],
        "ImageNette,\none epoch",
    )
    assert "| certified accuracy | 62.0 % | 62 of 100 | 52.2 to 70.9 % |" in card
    assert "| clean accuracy | 0.0 % | 0 of 5 | 0.0 to 43.4 % |" in card
    assert "| training | ImageNette, one epoch |" in card
    assert "5: a\\|b, c, d, e, &lt;script>" in card
    assert "| patch | 1 x 1 px on images of 64 x 112 px |" in card
    assert "every image that differs from this one in at most n patches of at most 1x1 px gets this label" in card


def test_the_header_is_yaml_with_the_licence_of_the_backbone() -> None:
    header = yaml.safe_load(model_card(Guard(KIND.model, "mrcert", 1)).split("---")[1])
    assert header["license"] == "apache-2.0"
    assert header["pipeline_tag"] == "image-classification"


def test_what_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KIND.model, "config", {**KIND.model.config, "backbone": "unknown_vit"})
    card = model_card(Guard(KIND.model, "mrcert", 1))
    assert "No results are stated." in card
    assert "| training | not stated |" in card
    assert "not known: check where the weights come from" in card
    assert yaml.safe_load(card.split("---")[1])["license"] == "other"


@pytest.mark.parametrize(
    ("start", "licence", "row"),
    [
        ("hub", "apache-2.0", "apache-2.0"),
        ("random", "other", "none: the training started from random weights"),
        ("file", "other", "that of the file that the training started from; that of timm's weights is apache-2.0"),
    ],
)
def test_the_licence_is_that_of_the_weights_of_the_start(start: str, licence: str, row: str, tmp_path: Path) -> None:
    path = save(KIND, tmp_path / "best.ckpt", start=start)
    guard = Guard.from_checkpoint(path)
    again = Guard.from_pretrained(guard.save_pretrained(tmp_path / "guard"))
    for card in (model_card(guard), model_card(again)):
        assert yaml.safe_load(card.split("---")[1])["license"] == licence
        assert f"| licence of the backbone's weights | {row} |" in card


def test_another_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="start"):
        Guard.from_checkpoint(save(KIND, tmp_path / "best.ckpt", start="a licence"))


@pytest.mark.parametrize(("count", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_accuracies_are_refused(count: int, n: int) -> None:
    with pytest.raises(ConfigurationError, match="count must be from 0 to n, n at least 1"):
        MeasuredAccuracy("accuracy", count, n)
