"""Every command line of the README and the documentation composes: its options and settings exist."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from pages import PAGES, ROOT, commands, write_files

from mrcert_pl.cli.app import CONF_DIR, VERSION_BASE

HYDRA = ("train", "eval", "predict", "serve", "attack", "audit", "plan", "push", "thresholds")
OTHERS = ("convert", "cross", "report", "verify", "dashboard")
HOWTOS = {path.stem for path in (ROOT / "docs/howto").glob("*.md")}


def settings(words: list[str]) -> Iterator[str]:
    """The overrides of a command, of a multirun those of its first job."""
    for word in words:
        if word.startswith(("-", "hydra", "$")) or "=" not in word:
            continue
        override = OverridesParser.create().parse_override(word)
        first = next(override.sweep_string_iterator()) if override.is_sweep_override() else None
        yield word if first is None else f"{override.get_key_element()}={first}"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_compose(page: Path, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    if page.stem in HOWTOS:
        write_files(page.stem, tmp_path)
    for command, *words in commands(page):
        if command not in HYDRA:
            assert command in OTHERS or command.startswith("--")
            continue
        name = f"audit_{words[0]}" if command == "audit" else command
        with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
            overrides = [f"hydra.searchpath=[file://{tmp_path}/conf]", *settings(words)]
            OmegaConf.to_container(compose(name, overrides=overrides))


def test_there_are_commands_to_look_at() -> None:
    assert len(commands(ROOT / "README.md")) > 5
    assert len(commands(ROOT / "docs/commands.md")) > 30
    assert all(commands(ROOT / f"docs/howto/{page}.md") for page in HOWTOS)
