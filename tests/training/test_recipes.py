"""conf/recipe: frozen values of every recipe, model kind and data set, and the files that decide them."""

import json
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

import mrcert_pl.cli.app  # noqa: F401 (its source of recipe/for)
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE

RECIPES = CONF_DIR / "recipe"
ROWS = [json.loads(line) for line in Path(__file__).with_name("recipes.jsonl").read_text().splitlines()]
FROZEN = {tuple(names.split()): row["recipe"] for row in ROWS for names in row["for"]}
# Data sets with rows of their own, and one that stands for the others.
DATASETS = ("digits", "imagenet", "imagenette")
# The short recipes have the same values for every data set.
NAMES = sorted(names for names in FROZEN if names[2] in (DATASETS[:1] if "short" in names[0] else DATASETS))


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_a_recipe_has_its_frozen_values_and_at_most_two_files_set_its_learning_rate(names: tuple[str, ...]) -> None:
    recipe, model, dataset = names
    overrides = [f"recipe={recipe}", f"model={model}", f"dataset={dataset}"]
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        composed = loader.load_configuration("train", overrides, RunMode.RUN)
        listed = loader.compute_defaults_list("train", overrides, RunMode.RUN).defaults
    assert OmegaConf.to_container(composed.recipe, resolve=True) == FROZEN[names]
    files = [CONF_DIR / f"{part.config_path}.yaml" for part in listed if part.package == "recipe"]
    # An option of MostSpecific only contains the file that it stands for.
    files = [file for file in files if "+" not in file.stem]
    assert all(file.is_file() for file in files)
    rates = [file for file in files if "lr" in OmegaConf.load(file).get("finetuning", {}).get("optimizer", {})]
    assert 1 <= len(rates) <= 2


def test_every_pair_is_frozen_and_only_these_data_sets_have_rows() -> None:
    models = {file.stem for file in (CONF_DIR / "model").glob("*.yaml")}
    recipes = {file.stem for file in RECIPES.glob("*.yaml")}
    assert {names[:2] for names in FROZEN} == {(recipe, model) for recipe in recipes for model in models}
    rows = {file.stem for file in (RECIPES / "for").glob("*.yaml")}
    known = {f"{recipe}_{model}" for recipe in recipes for model in models}
    known |= {f"{name}_{dataset}" for name in known | recipes for dataset in DATASETS if "short" not in name}
    assert rows <= known
