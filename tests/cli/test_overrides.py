"""What is written for Hydra's command line comes back through it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mrcert_pl.cli.overrides import override


@pytest.mark.parametrize(
    "value",
    [
        *(16, 0.5, True, None, "16x48", "2%", "16x48,48x16", "a/b c.ckpt", 'say "so"', "a=b", "x: [1]", ""),
        *([14, 1], ["16x48", "48x16"], {"depth": 2, "pool": "avg", "norm": [True, "a,b"]}, {}, []),
    ],
    ids=repr,
)
def test_a_value_comes_back(value: object) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([override("key", value)])
    assert not parsed.is_sweep_override()
    assert parsed.value() == value


def test_nodes_of_a_configuration_come_back() -> None:
    node = OmegaConf.create({"patch": ["16x48", "48x16"]})
    assert override("patch", node.patch) == "patch=[16x48,48x16]"
    assert override("all", node) == "all={patch:[16x48,48x16]}"
