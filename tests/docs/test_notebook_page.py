"""The notebook is a page of the site, with all its cells, and with the outputs of an executed copy."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import nbformat
import pytest
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import ROOT

SPEC = spec_from_file_location("notebook_page", ROOT / "docs/notebook_page.py")
assert SPEC is not None
assert SPEC.loader is not None
notebook_page = module_from_spec(SPEC)
SPEC.loader.exec_module(notebook_page)

NOTEBOOK = (ROOT / "docs/quickstart.ipynb").read_text(encoding="utf-8")
CELLS = nbformat.reads(NOTEBOOK, as_version=4).cells
PAGE, FIGURES = notebook_page.page(NOTEBOOK)
NO_OUTPUTS = "This page has no outputs: run `make notebook`, then `make docs`, to see what the cells print and draw."


def written(*outputs: object, source: str = "run()") -> str:
    """A notebook of a title and a cell with outputs."""
    code = new_code_cell(source, id="b", outputs=list(outputs), execution_count=1 if outputs else None)
    return nbformat.writes(new_notebook(cells=[new_markdown_cell("# Title\nOf it.", id="a"), code]))


def test_it_has_one_title_and_a_link_to_the_notebook() -> None:
    assert PAGE.startswith("# mrcert_pl in two minutes\n")
    assert len(re.findall(r"^# ", re.sub(r"```python.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)) == 1
    assert "[Download this notebook](quickstart.ipynb)" in PAGE


@pytest.mark.parametrize("number", range(1, len(CELLS)))
def test_every_cell_is_there(number: int) -> None:
    cell = CELLS[number]
    source = cell.source.strip("\n")
    assert (f"```python\n{source}\n```\n" if cell.cell_type == "code" else f"\n{source}\n") in PAGE


def test_the_notebook_itself_has_no_outputs() -> None:
    assert [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []
    assert FIGURES == {}


def test_a_page_without_outputs_says_so() -> None:
    assert NO_OUTPUTS in PAGE
    assert "```text" not in PAGE


def test_what_the_cells_print_and_draw_is_below_them() -> None:
    executed = written(
        new_output("stream", name="stderr", text="progress\n"),
        new_output("stream", name="stdout", text="\x1b[32maccuracy\x1b[0m 0.5\n"),
        new_output("display_data", data={"text/plain": "<Figure>", "image/png": "aGVsbG8="}),
        new_output("execute_result", data={"text/plain": "(1, 2)"}, execution_count=1),
    )
    page, figures = notebook_page.page(written(), executed)
    assert page == (
        "# Title\n\n[Download this notebook](quickstart.ipynb); `make notebook` runs it. "
        "The outputs below are those of one run.\n\nOf it.\n\n"
        "```python\nrun()\n```\n\n"
        "```text\naccuracy 0.5\n```\n\n"
        "![Figure drawn by the cell above](notebook-1-0.png)\n\n"
        "```text\n(1, 2)\n```\n"
    )
    assert figures == {"notebook-1-0.png": b"hello"}


def test_the_outputs_of_another_version_are_not_shown() -> None:
    executed = written(new_output("stream", name="stdout", text="of another cell"), source="other()")
    page, _ = notebook_page.page(written(), executed)
    assert NO_OUTPUTS in page
    assert "```python\nrun()\n```" in page
    assert "other" not in page


@pytest.mark.parametrize("ran", [True, False])
def test_the_site_has_the_page_and_its_figures(tmp_path: Path, ran: bool) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/quickstart.ipynb").write_text(written(), encoding="utf-8")
    if ran:
        (tmp_path / "build").mkdir()
        figure = new_output("display_data", data={"image/png": "aGVsbG8="})
        (tmp_path / "build/quickstart.ipynb").write_text(written(figure), encoding="utf-8")
    config = MkDocsConfig(config_file_path=str(tmp_path / "mkdocs.yml"))
    config.load_dict({"site_name": "site", "docs_dir": str(tmp_path / "docs"), "site_dir": str(tmp_path / "site")})
    config.validate()
    config.plugins._current_plugin = "docs/notebook_page.py"  # as during a build
    files = notebook_page.on_files(Files([]), config)
    assert [file.src_uri for file in files] == ["notebook.md", *["notebook-1-0.png"] * ran]
    assert (NO_OUTPUTS in files.src_uris["notebook.md"].content_string) is not ran


def test_the_site_has_the_hook_and_make_leaves_the_executed_copy() -> None:
    assert "hooks: [docs/notebook_page.py," in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "jupyter execute docs/quickstart.ipynb --output=../build/quickstart\n" in makefile
    assert "build/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
