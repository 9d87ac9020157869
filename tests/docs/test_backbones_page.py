"""docs/backbones.md says of every family of timm what is the case."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from pages import ROOT

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.backbones import REFUSED, averaging_vit, token_vit
from mrcert_pl.models.token_vit import TokenViT

PAGE = (ROOT / "docs/backbones.md").read_text()
DROPPING, REFUSING = (
    [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines[2:]]
    for lines in (table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE))
)
TINY: dict[str, Any] = {"embed_dim": 32, "depth": 2, "num_heads": 2}
# Networks without tokens for the patches of an image, which the page doesn't list.
CONVOLUTIONAL = set(
    re.findall(
        r"\w+",
        """byoanet byobnet convnext cpubone csatv2 cspnet cspnext densenet dla dpn efficientnet efficientvim fasternet
        ghostnet hardcorenas hgnet hrnet inception_next inception_resnet_v2 inception_v3 inception_v4 lcnetv2 lowformer
        mambaout mobilenetv3 mobilenetv5 mobilevit nasnet nfnet pnasnet rdnet regnet repghost repvit res2net resnest
        resnet resnetv2 rexnet selecsls senet shvit sknet starnet tresnet vgg vovnet xception xception_aligned""",
    )
)
FAMILIES = {family: timm.list_models(module=family) for family in timm.list_modules()}


@pytest.fixture(autouse=True)
def _weightless() -> Iterator[None]:
    """What is refused is refused for its structure, so no weights need to be made."""
    with torch.device("meta"):
        yield


def positions_of(name: str) -> str:
    """What the page says about positions in the blocks."""
    vit, image_px = token_vit(name, 5, **TINY)
    tokens = TokenViT(vit, image_px)
    if tokens.rope is not None:
        return "rotary"
    return "relative biases" if tokens.positions_in_blocks else "none"


@pytest.mark.parametrize("row", DROPPING, ids=lambda row: row[2])
def test_what_the_page_says_of_models_with_tokens(row: list[str]) -> None:
    family, kind, name, dropping, srf, positions = row
    vit, _ = token_vit(name, 5, **TINY)
    assert type(vit).__name__ == kind
    assert name.split(".")[0] in FAMILIES[family]
    assert dropping == "yes"
    assert positions_of(name) == positions
    if srf.startswith("no"):
        with pytest.raises(ConfigurationError, match="class and distillation tokens"):
            averaging_vit(name, 5, **TINY)
    else:
        averaging_vit(name, 5, **TINY)
        assert srf == ("zero, drop" if positions == "none" else "drop")


def test_the_page_names_the_reasons() -> None:
    assert dict(REFUSING) == dict(REFUSED)


@pytest.mark.parametrize("family", sorted(set(REFUSED) & set(FAMILIES)))
def test_families_without_such_tokens_are_refused_for_that_reason(family: str) -> None:
    name = FAMILIES[family][0]
    with pytest.raises(ConfigurationError, match=re.escape(REFUSED[family])):
        token_vit(name, 5)


def test_every_family_of_timm_is_on_the_page() -> None:
    listed = {row[0] for row in DROPPING} | {row[0] for row in REFUSING}
    missing = {family for family, names in FAMILIES.items() if names} - listed - CONVOLUTIONAL
    assert not missing, "say in docs/backbones.md and models/backbones.py what happens to these families"


@pytest.mark.parametrize("family", ["deit", "eva", "beit", "naflexvit"])
def test_every_model_of_a_family_is_accepted(family: str) -> None:
    kinds = {row[1] for row in DROPPING if row[0] == family}
    for name in FAMILIES[family]:
        grouped = {"num_kv_heads": 1} if "sapiens" in name else {}
        vit, _ = token_vit(name, 5, **TINY, **grouped)
        assert type(vit).__name__ in kinds
