"""Defenders by name: the same as in the configuration."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from mrcert_pl.cli.configuration import CONF_DIR
from mrcert_pl.defenders import build
from mrcert_pl.errors import ConfigurationError

NAMES = sorted(file.stem for file in CONF_DIR.glob("defender/*.yaml"))


@pytest.mark.parametrize("patches", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_defender_of_the_configuration_has_its_name_and_settings(name: str, patches: int) -> None:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("eval", [f"defender={name}", f"patches={patches}"])
    configured = instantiate(cfg.defender, _convert_="all")
    named = build(name, patches)
    assert type(named) is type(configured)
    assert vars(named) == vars(configured)
    assert named.name == name
    assert vars(build(name)) == vars(build(name, patches=2))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=f"choose one of: {', '.join(NAMES)}"):
        build("none")
