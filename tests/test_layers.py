"""Imports point one way: a room knows only the rooms below it."""

import ast
from pathlib import Path

import pytest

import mrcert_pl

SOURCE = Path(mrcert_pl.__file__).parent
BELOW = {
    "errors": set(),
    "files": {"errors"},
    "geometry": {"errors"},
    "mutants": {"errors", "files", "geometry"},
    "defenders": {"errors", "geometry", "mutants.table"},
    "metrics": {"errors", "defenders"},
    "models": {"errors", "geometry", "mutants"},
    "data": {"errors", "files", "geometry"},
    "attacks": {"errors", "files", "geometry", "mutants", "defenders", "models"},
    "training": {"errors", "geometry", "mutants"},
    "lit": {"errors", "files", "geometry", "mutants", "defenders", "metrics", "models", "attacks", "data", "training"},
    "callbacks": {"errors", "geometry", "mutants", "defenders", "metrics", "models", "data", "lit"},
    "guard": {"errors", "geometry", "mutants", "defenders", "models", "data"},
    "reporting": {"errors", "files"},
    "dashboard": {"errors", "files", "reporting", "data"},
    "verification": {"errors", "geometry.patch"},
}
FILES = [file for file in sorted(SOURCE.rglob("*.py")) if file.parent != SOURCE or file.stem in BELOW]


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_room_imports_only_what_lies_below_it(file: Path) -> None:
    room = file.relative_to(SOURCE).with_suffix("").parts[0]
    if room == "cli":
        return
    ours = {name.removeprefix("mrcert_pl.") for name in imported(file) if name.startswith("mrcert_pl")}
    allowed = BELOW[room] | {room}
    wrong = {name for name in ours if not any(name == room or name.startswith(f"{room}.") for room in allowed)}
    assert not wrong, f"{room} may import {sorted(allowed)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_hydra_lives_in_cli_wandb_in_dashboard_and_networks_stay_out_of_the_mathematics(file: Path) -> None:
    room = file.relative_to(SOURCE).with_suffix("").parts[0]
    outside = {name.split(".")[0] for name in imported(file)}
    if room != "cli":
        assert not outside & {"hydra", "omegaconf"}
    if room != "dashboard":
        assert not outside & {"wandb", "wandb_workspaces"}
    if room in ("geometry", "mutants", "defenders"):
        assert not outside & {"lightning", "timm", "torchvision", "torchmetrics"}
        assert not any(name.startswith("torch.nn") for name in imported(file))


def test_the_rule_can_fail() -> None:
    assert "mrcert_pl.defenders" in imported(SOURCE / "metrics" / "certified_recovery.py")
    assert {file.relative_to(SOURCE).with_suffix("").parts[0] for file in FILES} >= set(BELOW) | {"cli"}
