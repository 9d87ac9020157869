"""Every configuration composes, resolves and makes the object that it names."""

import importlib.resources
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

CONF = Path(str(importlib.resources.files("mrcert_pl.conf")))
GROUPS = ("dataset", "model", "defender", "recipe", "trainer", "logger", "callbacks", "paths", "experiment", "debug")
OPTIONS = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


def composed(command: str, *overrides: str) -> DictConfig:
    with initialize_config_module("mrcert_pl.conf", version_base="1.3"):
        return compose(command, overrides=list(overrides))


def test_no_option_is_forgotten() -> None:
    files = {file.relative_to(CONF) for file in CONF.rglob("*.yaml")}
    listed = {Path(group) / f"{option}.yaml" for group, option in OPTIONS}
    rest = {file for file in files - listed if "sized" not in file.parts}
    assert rest == {Path("train.yaml"), Path("eval.yaml")}


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_resolves(command: str, group: str, option: str) -> None:
    if command == "eval" and group in ("recipe", "callbacks"):
        pytest.skip("evaluation has no such group")
    cfg = composed(command, f"{group}={option}")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(("group", "option"), [o for o in OPTIONS if o[0] in ("defender", "logger", "callbacks")])
def test_parts_are_made(group: str, option: str, tmp_path: Path) -> None:
    cfg = composed("train", f"{group}={option}", f"paths.run_dir={tmp_path}")
    node = cfg[group]
    for part in [node] if "_target_" in node else node.values():
        assert type(instantiate(part, _convert_="all")).__name__ == part._target_.rsplit(".", 1)[1]


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "trainer"])
def test_trainers_are_made(option: str, tmp_path: Path) -> None:
    cfg = composed("train", f"trainer={option}", f"paths.run_dir={tmp_path}")
    if cfg.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    trainer = instantiate(cfg.trainer, logger=False, _convert_="all")
    assert trainer.max_epochs == cfg.recipe.epochs
    assert trainer.precision == "32-true"


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "dataset"])
def test_data_sets_are_made(option: str) -> None:
    cfg = composed("eval", f"dataset={option}")
    assert instantiate(cfg.dataset, image_px=(224, 224), batch_size=2).description.name == option


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "model"])
def test_models_are_made(option: str) -> None:
    """With the size that the embedded data set gives them, from random weights."""
    from mrcert_pl.cli.build import build_model

    model = build_model(composed("eval", f"model={option}", "model.pretrained=false"))
    assert model.num_classes == 10
    assert model.windows == 14


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "recipe"])
def test_recipes_are_made(option: str, tiny_vit: object) -> None:
    cfg = composed("train", f"recipe={option}")
    module = instantiate(cfg.recipe.finetuning, _partial_=True, _convert_="all")(
        model=tiny_vit, masks=lambda images: None, num_classes=10
    )
    assert module.optimizer["lr"] == cfg.recipe.finetuning.optimizer.lr


def test_the_embedded_data_set_gets_a_model_and_a_recipe_of_its_size() -> None:
    cfg = composed("train")
    assert cfg.model.backbone_args.embed_dim == 64
    assert cfg.recipe.epochs < 100
    assert not cfg.model.pretrained


@pytest.mark.parametrize("patch", ["32", "'16x48'", "2%"])
def test_patch_is_plain(patch: str) -> None:
    assert composed("eval", f"patch={patch}").patch in (32, "16x48", "2%")
