"""Checkpoints of one's own images: a folder for each folder of images."""

from pathlib import Path

import pytest
from composition import composed

from mrcert_pl.cli.naming import images_title


@pytest.mark.parametrize(
    ("root", "title"),
    [
        (None, "folder"),
        ("photos", "folder_photos"),
        ("a/../photos/", "folder_photos"),
        ("my photos & more", "folder_my_photos_more"),
        ("/data/straße=${x}", "folder_stra_e_x_"),
    ],
)
def test_titles(root: str | None, title: str) -> None:
    assert images_title("folder", root) == title
    assert images_title("digits", root) == "digits"


def test_the_working_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "signs").mkdir()
    monkeypatch.chdir(tmp_path / "signs")
    assert images_title("folder", ".") == "folder_signs"


@pytest.mark.parametrize("command", ["train", "eval", "attack", "audit_certificates", "audit_numerics", "thresholds"])
def test_two_folders_do_not_share_a_checkpoint(command: str) -> None:
    paths = {composed(command, "dataset=folder", f"dataset.root={root}").checkpoint for root in ("signs", "x/birds")}
    assert paths == {f"checkpoints/folder_{name}/vit_srf_p16/best.ckpt" for name in ("signs", "birds")}
    assert composed(command, "dataset=digits").checkpoint == "checkpoints/digits/vit_srf_p16/best.ckpt"
