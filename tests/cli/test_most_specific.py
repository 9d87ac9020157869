"""recipe/for: the most specific file of a recipe, a kind of model and a data set."""

import pytest
from composition import composed

from mrcert_pl.cli.most_specific import most_specific


@pytest.mark.parametrize(
    ("model", "dataset", "option"),
    [
        ("column_vit", "imagenet", "default_column_vit_imagenet"),
        ("column_vit", "imagenette", "default_column_vit"),
        ("vit_srf", "digits", "default_digits"),
        ("vit_srf", "imagenet", None),
    ],
)
def test_the_most_specific_option_of_a_group(model: str, dataset: str, option: str | None) -> None:
    assert most_specific("recipe/for", "default", model, dataset) == option


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [([], 40), (["dataset=imagenette"], 100), (["recipe=short", "model=column_vit"], 3), (["defender=vot"], 60)],
)
def test_the_choices_of_a_run_decide(overrides: list[str], epochs: int) -> None:
    """Those that a defender makes as well: a vote chooses its model."""
    assert composed("train", *overrides).recipe.epochs == epochs
