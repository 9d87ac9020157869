"""The notebook is a page of the site, with all its cells; it is not run."""

import re
from importlib.util import module_from_spec, spec_from_file_location

import nbformat
import pytest
from pages import ROOT

SPEC = spec_from_file_location("notebook_page", ROOT / "docs/notebook_page.py")
assert SPEC is not None
assert SPEC.loader is not None
notebook_page = module_from_spec(SPEC)
SPEC.loader.exec_module(notebook_page)

NOTEBOOK = (ROOT / "docs/quickstart.ipynb").read_text(encoding="utf-8")
PAGE = notebook_page.page(NOTEBOOK)


def test_it_has_one_title_and_a_link_to_the_notebook() -> None:
    assert PAGE.startswith("# mrcert_pl in two minutes\n")
    assert len(re.findall(r"^# ", re.sub(r"```python.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)) == 1
    assert "[Download this notebook](quickstart.ipynb)" in PAGE


@pytest.mark.parametrize("number", range(1, len(nbformat.reads(NOTEBOOK, as_version=4).cells)))
def test_every_cell_is_there(number: int) -> None:
    cell = nbformat.reads(NOTEBOOK, as_version=4).cells[number]
    source = cell.source.strip("\n")
    assert (f"```python\n{source}\n```\n" if cell.cell_type == "code" else f"\n{source}\n") in PAGE


def test_the_site_has_it() -> None:
    assert "hooks: [docs/notebook_page.py," in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
