"""docs/licences.md lists the dependencies of pyproject.toml and the weights that configurations name."""

import re

import yaml
from pages import ROOT

PAGE = (ROOT / "docs/licences.md").read_text()
PROJECT = (ROOT / "pyproject.toml").read_text()


def test_every_dependency_is_listed() -> None:
    required = PROJECT.split("\ndependencies = [")[1].split("]")[0]
    names = re.findall(r'"([\w.-]+)', required)
    assert len(names) > 10
    assert [name for name in names if f"\n| {name} | " not in PAGE] == []


def test_all_weights_of_configurations_are_listed() -> None:
    models = [yaml.safe_load(path.read_text()) for path in (ROOT / "conf/model").glob("*.yaml")]
    weights = {model["backbone"] for model in models if model.get("pretrained")}
    assert len(weights) >= 3
    assert [each for each in weights if f"\n| `{each}` | " not in PAGE] == []
