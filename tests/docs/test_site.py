"""Settings of the documentation site."""

import pytest
from mkdocs.config import load_config
from pages import ROOT

ADDRESS = "https://example.org/owner/mrcert_pl"


@pytest.mark.parametrize("address", [None, ADDRESS])
def test_every_page_links_to_the_repository_if_its_address_is_known(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.delenv("MRCERT_REPO_URL", raising=False)
    if address is not None:
        monkeypatch.setenv("MRCERT_REPO_URL", address)
    assert load_config(str(ROOT / "mkdocs.yml")).repo_url == address
