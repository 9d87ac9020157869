"""Every configuration composes, resolves and makes the object that it names."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from composition import COMMANDS
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from PIL import Image

import mrcert_pl.cli.app  # noqa: F401 (its source of recipe/for)
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.instantiate import made
from mrcert_pl.cli.task_settings import model_settings
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import ViTSRF

CONF = CONF_DIR
GROUPS = (
    "attack",
    "dataset",
    "model",
    "defender",
    "recipe",
    "trainer",
    "logger",
    "callbacks",
    "paths",
    "experiment",
    "debug",
)
WINDOWS = {"blackbox": 25, "column_vit": 224 + 224, "masked_vit": 14 * 14, "vit_srf": 14}
OPTIONS = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


def composed(command: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        return compose(command, overrides=list(overrides))


def test_no_option_is_forgotten() -> None:
    files = {file.relative_to(CONF) for file in CONF.rglob("*.yaml")}
    listed = {Path(group) / f"{option}.yaml" for group, option in OPTIONS}
    # Chosen by the data set or the model.
    rest = {file for file in files - listed if not {"sized", "for", "default"} & {*file.parts}}
    assert rest == {Path(f"{name}.yaml") for name in (*COMMANDS, "_subject")}


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_resolves(command: str, group: str, option: str) -> None:
    if group == "attack" or (command == "eval" and group in ("recipe", "callbacks")):
        pytest.skip("the command has no such group")
    cfg = composed(command, f"{group}={option}")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(("group", "option"), [o for o in OPTIONS if o[0] in ("defender", "logger", "callbacks")])
def test_parts_are_made(group: str, option: str, tmp_path: Path) -> None:
    cfg = composed("train", f"{group}={option}", f"paths.run_dir={tmp_path}")
    node = cfg[group]
    for part in [node] if "_target_" in node else node.values():
        part_made = made(part)
        if group == "defender":
            assert part_made.name == option
        else:
            assert type(part_made).__name__ == part._target_.rsplit(".", 1)[1]


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "trainer"])
def test_trainers_are_made(option: str, tmp_path: Path) -> None:
    cfg = composed("train", f"trainer={option}", f"paths.run_dir={tmp_path}")
    if cfg.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    trainer = made(cfg.trainer, logger=False)
    assert trainer.max_epochs == cfg.recipe.epochs
    assert trainer.precision == "32-true"


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "attack"])
def test_attacks_are_made(option: str) -> None:
    cfg = composed("attack", f"attack={option}")
    attack = made(cfg.attack, _partial_=True)(PatchSpec(32), seed=cfg.seed)
    assert attack.name == option
    assert {name: attack.settings()[name] for name in cfg.attack if name != "_target_"} == {
        name: value for name, value in cfg.attack.items() if name != "_target_"
    }


@pytest.mark.parametrize("option", [o for group, o in OPTIONS if group == "dataset" and o != "attacked"])
def test_data_sets_are_made(option: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.png")
    cfg = composed("eval", f"dataset={option}", *([f"dataset.root={tmp_path}"] if option == "folder" else []))
    assert made(cfg.dataset, image_px=(224, 224), batch_size=2).description.name == option


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "model"])
def test_models_are_made(option: str) -> None:
    """With the size that the embedded data set gives them, from random weights."""
    model: Any = model_settings(composed("eval", f"model={option}", "model.pretrained=false")).make(10)
    assert model.num_classes == 10
    assert model.windows == WINDOWS[option]


@pytest.mark.parametrize("dataset", ["digits", "imagenette"])
@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "model"])
def test_every_model_takes_further_arguments_of_timm(option: str, dataset: str) -> None:
    """Whether the configuration names them already or not."""
    settings = ("++model.backbone_args.global_pool=avg", "++model.backbone_args.depth=3")
    before = composed("eval", f"model={option}", f"dataset={dataset}").model.backbone_args
    after = composed("eval", f"model={option}", f"dataset={dataset}", *settings).model.backbone_args
    assert after == {**before, "global_pool": "avg", "depth": 3}


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "recipe"])
def test_recipes_are_made(option: str, tiny_vit: ViTSRF) -> None:
    cfg = composed("train", f"recipe={option}")
    # A distilled training needs a head that is not new.
    tiny_vit.new_head = False
    module = made(cfg.recipe.finetuning, _partial_=True)(model=tiny_vit, masks=lambda images: None, num_classes=10)
    assert module.optimizer["lr"] == cfg.recipe.finetuning.optimizer.lr


def test_the_embedded_data_set_gets_a_model_and_a_recipe_of_its_size() -> None:
    cfg = composed("train")
    assert cfg.model.backbone_args.embed_dim == 64
    assert cfg.recipe.epochs < 100
    assert not cfg.model.pretrained


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize(
    ("overrides", "model", "defender"),
    [
        ([], "vit_srf", "mrcert"),
        (["model=column_vit"], "column_vit", "vot"),
        (["defender=vot"], "column_vit", "vot"),
        (["defender=vot_sharp"], "column_vit", "vot_sharp"),
        (["defender=patchcure"], "vit_srf", "patchcure"),
        (["model=column_vit", "defender=undefended"], "column_vit", "undefended"),
        (["model=vit_srf", "defender=vot"], "vit_srf", "vot"),
        (["experiment=digits_p32_vot"], "column_vit", "vot"),
        (["experiment=digits_p32_vot", "defender=vot_sharp"], "column_vit", "vot_sharp"),
        (["experiment=digits_p32"], "vit_srf", "mrcert"),
    ],
)
def test_a_vote_and_its_model_choose_each_other(command: str, overrides: list[str], model: str, defender: str) -> None:
    """An explicit choice wins over both."""
    cfg = composed(command, *overrides)
    assert cfg.model.name == model
    assert made(cfg.defender).name == defender


@pytest.mark.parametrize("command", ["predict", "serve"])
@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "defender"])
def test_every_defender_can_predict(command: str, option: str) -> None:
    cfg = composed(command, f"defender={option}")
    assert made(cfg.defender).name == option


def test_the_recipe_depends_on_the_model() -> None:
    def finetuning(*overrides: str) -> DictConfig:
        return composed("train", "model=column_vit", *overrides).recipe

    nette, imagenet = finetuning("dataset=imagenette"), finetuning("dataset=imagenet")
    assert (nette.batch_size, nette.finetuning.optimizer.lr, nette.finetuning.step_factor) == (128, 1e-2, 0.1)
    assert (imagenet.batch_size, imagenet.finetuning.optimizer.lr, imagenet.finetuning.step_factor) == (256, 1e-3, 1.0)
    for recipe in (nette, imagenet):
        assert recipe.epochs == 30
        assert recipe.finetuning.optimizer.opt == "momentum"
        assert recipe.augmentation.hflip == 0.5
        assert recipe.augmentation.auto_augment is None
        assert not recipe.masks_per_batch
    authors = finetuning("dataset=imagenet", "recipe=authors")
    assert authors.finetuning == imagenet.finetuning
    assert authors.augmentation is None
    assert authors.masks_per_batch
    assert composed("train", "dataset=imagenette").recipe.finetuning.optimizer.opt == "adamw"


@pytest.mark.parametrize(
    "command", ["train", "eval", "predict", "attack", "audit_certificates", "audit_numerics", "thresholds"]
)
def test_runs_and_multiruns_of_a_command_lie_together(command: str) -> None:
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        hydra = compose(command, return_hydra_config=True).hydra
    folder = f"outputs/{command.split('_')[0]}"
    assert hydra.sweep.dir == folder
    assert hydra.run.dir.startswith(f"{folder}/")


@pytest.mark.parametrize("patch", ["32", "'16x48'", "2%"])
def test_patch_is_plain(patch: str) -> None:
    assert composed("eval", f"patch={patch}").patch in (32, "16x48", "2%")


@pytest.mark.parametrize("words", ["'patch=\"16x48,48x16\"'", "\"patch='16x48,48x16'\"", r"'patch=16x48\,48x16'"])
def test_several_shapes_of_a_patch_in_a_shell(words: str) -> None:
    cfg = composed("eval", *shlex.split(words))
    assert PatchSpec(cfg.patch).shapes_px((224, 224)) == ((16, 48), (48, 16))
    assert cfg.checkpoint == "checkpoints/digits/vit_srf_p16x48,48x16/best.ckpt"


@pytest.mark.parametrize("file", ["docs/commands.md", *(f"conf/{name}.yaml" for name in ("_subject", "train", "plan"))])
def test_several_shapes_of_a_patch_are_documented_as_they_work(file: str) -> None:
    assert """'patch="16x48,48x16"'""" in Path(__file__).parents[2].joinpath(file).read_text()
