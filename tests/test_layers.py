"""Imports point one way: a package imports only the packages that come before it in docs and in this list."""

import ast
from pathlib import Path

import pytest

import mrcert_pl

SOURCE = Path(mrcert_pl.__file__).parent
ORDER = (
    "errors",
    "files",
    "plain",
    "initial_weights",
    "geometry",
    "mutants",
    "defenders",
    "metrics",
    "models",
    "data",
    "attacks",
    "training",
    "lit",
    "callbacks",
    "guard",
    "results",
    "verification",
    "tasks",
    "views",
    "cli",
)
# Beyond the order: what a package must not know although it comes later.
NEVER = {
    "defenders": {"mutants.evaluator", "mutants.store"},
    "data": {"mutants", "defenders", "metrics", "models"},
    "models": {"defenders", "metrics"},
    "attacks": {"data"},
    "training": {"defenders", "metrics", "data", "attacks"},
    "results": {"models", "data", "attacks", "training", "lit", "callbacks"},
    "verification": {"mutants", "defenders", "models", "metrics", "guard", "tasks"},
    "views": {"mutants", "defenders", "models", "data", "attacks", "training", "lit", "callbacks"},
}
# What a package may share all the same: verification reads the file format of tables and the list of rules, no rule.
SHARED = {"verification": {"mutants.shards", "defenders.registry"}}
# Names of the public interface, loaded on first use.
TOP = "__init__"
FILES = [file for file in sorted(SOURCE.rglob("*.py")) if file.parent != SOURCE or file.stem in ORDER]


def imported(file: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def package_of(file: Path) -> str:
    return file.relative_to(SOURCE).with_suffix("").parts[0]


def violations(package: str, ours: set[str]) -> set[str]:
    """Modules of ours, without ``mrcert_pl.``, that a package must not import."""
    allowed = ORDER[: ORDER.index(package) + 1]
    never = NEVER.get(package, set())
    return {
        name
        for name in ours - SHARED.get(package, set())
        if name.split(".")[0] not in allowed or any(name == other or name.startswith(f"{other}.") for other in never)
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_package_imports_only_those_before_it(file: Path) -> None:
    ours = {name.removeprefix("mrcert_pl.") for name in imported(file) if name.startswith("mrcert_pl.")}
    assert not violations(package_of(file), ours)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_hydra_lives_in_cli_wandb_in_views_and_networks_stay_out_of_the_mathematics(file: Path) -> None:
    package = package_of(file)
    outside = {name.split(".")[0] for name in imported(file)}
    if package != "cli":
        assert not outside & {"hydra", "omegaconf"}
    if package != "views":
        assert not outside & {"wandb", "wandb_workspaces", "matplotlib", "jinja2"}
    if package not in ("views", "cli"):
        assert not outside & {"rich"}
    if package in ("geometry", "mutants", "defenders"):
        assert not outside & {"lightning", "timm", "torchvision", "torchmetrics"}
        assert not any(name.startswith("torch.nn") for name in imported(file))


def test_instantiate_stands_in_one_module() -> None:
    using = {
        str(file.relative_to(SOURCE))
        for file in FILES
        if {"hydra.utils"} & imported(file) and "instantiate" in file.read_text()
    }
    assert using == {"cli/instantiate.py"}


def test_no_task_prints_or_reads_the_command_line() -> None:
    for file in FILES:
        if package_of(file) in ("cli", "views"):
            continue
        names = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
        attributes = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        assert "print" not in names, file
        assert "sys.argv" not in attributes, file


def test_the_rules_can_fail() -> None:
    assert "mrcert_pl.defenders" in imported(SOURCE / "metrics" / "certified_recovery.py")
    assert violations("geometry", {"mutants.table"}) == {"mutants.table"}
    assert violations("results", {"models.flops", "errors"}) == {"models.flops"}
    assert {package_of(file) for file in FILES} == set(ORDER)
