"""The registry of defenders: the same names as in the configuration."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from mrcert_pl.cli.configuration import CONF_DIR, VERSION_BASE
from mrcert_pl.cli.instantiate import made
from mrcert_pl.defenders import MRCert, PatchCURE, build, names, register, registry, rule_of
from mrcert_pl.errors import ConfigurationError

NAMES = sorted(file.stem for file in CONF_DIR.glob("defender/*.yaml"))


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def test_every_configuration_has_an_entry_and_the_reverse() -> None:
    assert names() == NAMES


@pytest.mark.parametrize("patches", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_defender_of_the_configuration_has_its_name_and_settings(name: str, patches: int) -> None:
    with initialize_config_dir(str(CONF_DIR), **VERSION_BASE):
        cfg = compose("eval", [f"defender={name}", f"patches={patches}"])
    configured = made(cfg.defender)
    named = build(name, patches)
    assert type(named) is type(configured)
    # The settings are as given; the configuration gives all of them.
    assert vars(named) | {"settings": {}} == vars(configured) | {"settings": {}}
    assert named.name == name
    assert vars(build(name)) == vars(build(name, patches=2))


@pytest.mark.parametrize("name", NAMES)
def test_every_defender_of_the_package_has_a_second_implementation(name: str) -> None:
    assert callable(rule_of(name))


def test_settings_are_passed_on() -> None:
    assert build("mrcert_sharp", 3, margin=0.5).margin == 0.5  # type: ignore[attr-defined]
    assert build("patchcure", reference="majority").reference == "majority"  # type: ignore[attr-defined]


def test_an_unknown_name_lists_the_known_ones() -> None:
    for ask in (build, rule_of):
        with pytest.raises(ConfigurationError, match=f"choose one of: {', '.join(NAMES)}"):
            ask("none")  # type: ignore[operator]


@pytest.mark.usefixtures("own_registry")
class TestFromOutside:
    def test_a_registered_defender_is_built(self) -> None:
        register("stable", lambda patches, margin=0.0: MRCert(patches, margin=margin))
        assert build("stable", 3, margin=0.5).order == 6  # type: ignore[attr-defined]
        assert "stable" in names()
        assert rule_of("stable") is None

    def test_a_module_that_registers_it_is_imported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "from mrcert_pl.defenders import PatchCURE, register\nregister('mine', lambda patches: PatchCURE(), max)"
        (tmp_path / "my_defender.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigurationError, match="unknown defender 'mine'"):
            rule_of("my_defender:mine")
        assert isinstance(build("my_defender:mine"), PatchCURE)
        assert rule_of("my_defender:mine") is max

    def test_a_module_that_is_not_there(self) -> None:
        with pytest.raises(ConfigurationError, match="no_such_module:mine can't be imported"):
            build("no_such_module:mine")

    def test_the_names_of_the_package_are_taken(self) -> None:
        with pytest.raises(ConfigurationError, match="'mrcert' is a defender of mrcert_pl"):
            register("mrcert", MRCert)
