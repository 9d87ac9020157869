"""``--help``: every setting with its description, at every width."""

import re
import shlex
import sys
from collections.abc import Callable

import pytest
from composition import COMMANDS
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import mrcert_pl.cli.app  # noqa: F401 (its source of recipe/for)
from mrcert_pl.cli import usage
from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.main import main

# Groups of options; their own settings are in their files.
GROUPS = {*usage._GROUPS, "paths", "hydra"}


def help_at(monkeypatch: pytest.MonkeyPatch, name: str, width: int) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    return usage.help_of(CONF_DIR / f"{name}.yaml")


def described(name: str) -> dict[str, str]:
    return {setting.name: setting.about for setting in usage.settings_of(CONF_DIR / f"{name}.yaml")}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_setting_is_described(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        composed = OmegaConf.to_container(compose(name), resolve=False)
    assert isinstance(composed, dict)
    ours = {str(setting) for setting in composed if setting not in GROUPS}
    assert ours <= {*described(name)}
    text = " ".join(help_at(monkeypatch, name, 100).split())
    for setting, about in described(name).items():
        assert re.search(rf" {re.escape(setting)}(=| )", text), setting
        assert about in text, setting


def test_settings_of_the_recipe_the_trainer_and_the_attack_are_described() -> None:
    training = described("train")
    assert {"recipe.epochs", "recipe.mask_draws", "recipe.finetuning.optimizer.lr"} <= {*training}
    assert {f"trainer.{name}" for name in usage._TRAINER} <= {*training}
    assert {"attack.starts", "attack.steps", "attack.space", "images"} <= {*described("attack")}
    assert {"adaptive.steps", "step_px"} <= {*described("audit_certificates")}


def test_a_command_has_only_the_settings_that_it_uses() -> None:
    """Those of an evaluation are no settings of attacks and audits."""
    others = {"table", "evaluate", "numerics", "reported"}
    assert others <= {*described("eval")}
    assert not others & {*described("attack"), *described("audit_certificates"), *described("audit_numerics")}
    assert not {"store", "examples", "batch_size"} & {*described("audit_certificates"), *described("audit_numerics")}
    groups = {name: {*usage.groups_of(CONF_DIR / f"{name}.yaml")} for name in COMMANDS}
    assert "defender" not in groups["attack"]
    assert not {"trainer", "debug"} & (groups["audit_certificates"] | groups["audit_numerics"])
    assert described("attack")["store"].startswith("folder of the attacked set")


@pytest.mark.parametrize("name", COMMANDS)
def test_groups_list_their_options(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_at(monkeypatch, name, 120)
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        cfg = compose(name, return_hydra_config=True)
    # Hydra 1.4 does not list a choice of a subgroup, default/${model}.
    hydra = {*cfg, *cfg.hydra.runtime.choices}
    for group in usage._GROUPS:
        default = cfg.hydra.runtime.choices.get(group)
        # That of an interpolation, mrcert_${...}, is not shown.
        assert (re.search(rf"\n  {group}(={default})? ", text) is not None) == (group in hydra), group
    if "defender" in hydra:
        for file in (CONF_DIR / "defender").glob("*.yaml"):
            assert re.search(rf"\b{file.stem}\b", text)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_word_is_clipped(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_at(monkeypatch, name, width)
    for line in text.splitlines():
        # A command that is longer than the line stays one, to be copied.
        assert len(line) <= width or re.match(r"  (python|mrcert|curl|find) .*\S$", line), line
        assert "  " not in line.strip() or re.match(r"  \S", line), line
    words = {*text.split()}
    for about in described(name).values():
        assert {*about.split()} <= words
    assert words == {*help_at(monkeypatch, name, 120).split()}


def test_the_help_of_a_training_fits_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(help_at(monkeypatch, "train", 100).splitlines()) <= 60


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["patch=32", "--help"]])
def test_help_is_ours(command: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    command("train", *arguments)
    output = capsys.readouterr().out
    assert output.startswith("Fine-tune a base model")
    assert "Powered by Hydra" not in output


@pytest.mark.parametrize(
    ("name", "option", "settings"),
    [
        ("eval", "dataset=folder", ["dataset.root=null", "dataset.labels=null"]),
        ("predict", "model=blackbox", ["model.masks_per_axis=6", "model.head_rows=null"]),
        ("serve", "defender=hicert", ["defender.threshold=0.8"]),
        ("attack", "attack=silent", ["attack.detector=patchcensor", "attack.space=pixel"]),
    ],
)
def test_settings_of_a_chosen_option(
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    option: str,
    settings: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command(name, option, "--help")
    lines = capsys.readouterr().out.splitlines()
    listed = lines[lines.index(f"Settings of {option}:") :]
    for setting in settings:
        assert any(line.startswith(f"  {setting} ") for line in listed), setting
        assert f"\n  {setting.partition('=')[0]}=" not in "\n".join(lines[: -len(listed)])
    assert max(map(len, listed)) <= 80


def test_options_without_settings_and_unknown_ones_add_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = CONF_DIR / "eval.yaml"
    for argument in ("model=../secret", "dataset=mine", "patch=32", "defender.margin=1", "defender=undefended"):
        assert usage.help_of(file, [argument]) == usage.help_of(file)


def test_hydras_flags_are_hydras(command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command("train", "--hydra-help")
    assert "--multirun" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_compose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of every example are ones that the command has."""
    examples = [line.strip() for line in help_at(monkeypatch, name, 60).splitlines() if line.startswith("  ")]
    ours = [line for line in examples if line.startswith(f"mrcert {name.replace('_', ' ')} ") or f"{name}.py" in line]
    assert len(ours) >= 2
    for line in ours:
        words = [word for word in shlex.split(line.partition("  ")[0]) if "=" in word and "..." not in word]
        with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
            compose(name, overrides=[word for word in words if "," not in word or "[" in word])


@pytest.mark.parametrize("name", ["convert", "verify", "cross", "report", "dashboard"])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_help_of_other_commands_fits_the_terminal(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "argv", ["mrcert", name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    for line in capsys.readouterr().out.splitlines():
        # A command that is longer than the line stays one, to be copied.
        assert len(line) <= width or re.match(r"  mrcert \S.*\S$", line), line
