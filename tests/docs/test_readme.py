"""The README stays one page, and what it names is there."""

import re

import pytest
from pages import ROOT

from mrcert_pl.cli import main

README = (ROOT / "README.md").read_text()


def test_it_is_one_page() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    "target", sorted({*re.findall(r"\]\(([^)#]+)", README), *re.findall(r"^\[\w+\]: (\S+)", README, re.M)})
)
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_it_names_what_a_stranger_needs() -> None:
    for heading in ("Quick start", "Your own images", "Your own classifier", "What a certificate means", "Citation"):
        assert f"\n## {heading}\n" in README
    cited = re.findall(r"^@\w+\{(\w+),", README, re.MULTILINE)
    assert cited == ["mrcert", "patchcure", "patchcleanser", "svit", "crosscert"]
    assert set(re.findall(r"^mrcert (\w+)", README, re.MULTILINE)) <= {*main._COMMANDS}
