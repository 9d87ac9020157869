"""``mrcert audit numerics``: its settings and errors."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY

Command = Callable[..., None]

NUMERICS = ["audit", "numerics", *TINY, "patch=32", "images=1"]


def test_the_help_lists_its_settings(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("audit", "numerics", "--help")
    output = capsys.readouterr().out
    assert output.startswith("Measure the spread of the logits")
    for setting in ("images=8", "mutants=32"):
        assert f"  {setting} " in output
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mutants=0"], "mutants must be a whole number of at least 1, got 0"),
        (["mutants=many"], "mutants must be a whole number of at least 1, got 'many'"),
        (["mutant=3"], r"there is no setting mutant; did you mean mutants\?"),
        (["defender=mrcrt"], r"there is no defender=mrcrt; did you mean mrcert\? defender is one of: "),
    ],
)
def test_bad_settings(untrained: Command, refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert re.search(message, refused(*NUMERICS, *arguments))
    assert list(Path().rglob("numerics.json")) == []


def test_a_missing_checkpoint_is_named(refused: Callable[..., str]) -> None:
    message = refused(*NUMERICS)
    assert "no checkpoint checkpoints/digits/vit_srf_p32/best.ckpt" in message
    assert "mrcert train dataset=digits model=vit_srf patch=32" in message


def test_the_margin_is_twice_the_difference(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained(*NUMERICS, "mutants=2", "defender=patchcure")
    output = capsys.readouterr().out
    assert "Logits of 2 mutants against each computed alone" in output
    assert "defender.margin=" in output
    (file,) = Path("outputs/audit").rglob("numerics.json")
    assert str(file) in output.replace(f"{Path.cwd()}/", "")
