"""The command that follows a run shares its settings."""

import shlex
from pathlib import Path

import pytest
from composition import composed

from mrcert_pl.cli.following import command_line


@pytest.mark.parametrize(
    ("overrides", "shared"),
    [
        ([], []),
        (["model.split=1", "patches=1", "stride=2"], ["model.split=1", "patches=1", "stride=2"]),
        (["++model.backbone_args.depth=3"], ["++model.backbone_args.depth=3"]),
        (["paths.output_dir=a b"], ["paths.output_dir=a b"]),
        (["model.backbone_args={depth: 2}"], ["model.backbone_args={depth: 2}"]),
        # What a training alone uses, and where its weights start.
        (["recipe.epochs=3", "seed=5", "trainer=cpu", "dataset.limit=8"], []),
        (["model.pretrained=false", "model.weights=x.pth", "model.head_rows=[1]"], []),
    ],
)
def test_settings_of_data_and_model_are_shared(overrides: list[str], shared: list[str]) -> None:
    cfg = composed("train", *overrides)
    words = shlex.split(command_line(cfg, "eval"))
    assert words == ["mrcert", "eval", "dataset=digits", "model=vit_srf", "patch=16", *shared]
    composed("eval", *words[2:])


def test_the_choices_are_named() -> None:
    cfg = composed("train", "dataset=folder", "dataset.root=my photos", "model=masked_vit", 'patch="16x48,48x16"')
    words = shlex.split(command_line(cfg, "eval"))
    assert words[2:] == ["dataset=folder", "model=masked_vit", 'patch="16x48,48x16"', "dataset.root=my photos"]
    following = composed("eval", *words[2:])
    assert (following.patch, following.dataset.root) == (cfg.patch, "my photos")


def test_an_attacked_set_is_followed_by_a_training_on_its_source() -> None:
    cfg = composed("eval", "dataset=attacked", "dataset.path=here", "dataset.source=imagenette")
    assert command_line(cfg, "train") == "mrcert train dataset=imagenette model=vit_srf patch=16"


def test_a_search_path_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    cfg = composed("train", "hydra.searchpath=[file://mine]")
    assert "hydra.searchpath=[file://mine]" in shlex.split(command_line(cfg, "eval"))
