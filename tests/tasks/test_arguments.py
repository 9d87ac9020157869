"""Arguments of classes that a configuration names."""

import inspect
from typing import Any

import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.lit import MaskedFinetuning
from mrcert_pl.models.registry import kinds
from mrcert_pl.tasks.arguments import check_model_arguments, check_names
from mrcert_pl.tasks.settings import ModelSettings

SMALL = {"backbone": "vit_tiny_patch16_224", "backbone_args": {"embed_dim": 16, "depth": 2, "num_heads": 2}}


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no setting a\.lr; there are: .*optimizer"):
        check_names("a", MaskedFinetuning, ["optimizer", "lr"])
    check_names("a", lambda **anything: None, ["lr"])
    with pytest.raises(ConfigurationError, match=r"there is no setting model\.x; there are: backbone, "):
        ModelSettings("vit_srf", {**SMALL, "x": 1}).shape(10)


@pytest.mark.parametrize("made", [MaskedFinetuning, lambda model, **anything: None])
def test_what_the_task_gives_is_no_setting(made: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no setting a\.model; there are: (?!.*model)"):
        check_names("a", made, ["model"], given=("model",))


def test_the_number_of_classes_is_that_of_the_data_set() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no setting model\.num_classes"):
        ModelSettings("vit_srf", {**SMALL, "num_classes": 3}).make(10)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("vit_srf", "backbone", None),
        ("vit_srf", "backbone", 3),
        ("vit_srf", "weights", 3),
        ("vit_srf", "weights", ""),
        ("vit_srf", "window", None),
        ("vit_srf", "window", 3),
        ("masked_vit", "window", ["a", 1]),
        ("vit_srf", "split", None),
        ("vit_srf", "split", 1.5),
        ("vit_srf", "backbone_args", 3),
        ("column_vit", "width", None),
        ("column_vit", "width", "a"),
        ("blackbox", "image_px", 224),
        ("blackbox", "image_px", [224]),
        ("blackbox", "fill", None),
        ("blackbox", "fill", float("nan")),
    ],
)
def test_values_of_another_type_are_refused(name: str, argument: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"model\.{argument} must be .*, got "):
        ModelSettings(name, {**SMALL, argument: value}).make(10)


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_defaults_are_of_the_type(kind: Any) -> None:
    defaults = {name: each.default for name, each in inspect.signature(kind).parameters.items()}
    check_model_arguments({name: value for name, value in defaults.items() if value is not inspect.Parameter.empty})
