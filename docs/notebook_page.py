"""The quick-start notebook as a page of the site: its text and code, without running it."""

from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File

_NOTEBOOK, _PAGE = "quickstart.ipynb", "notebook.md"
_ABOUT = f"[Download this notebook]({_NOTEBOOK}); `make notebook` runs it. Its figures appear when it runs.\n"


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the page, as a hook of MkDocs."""
    text = (Path(config.docs_dir) / _NOTEBOOK).read_text(encoding="utf-8")
    files.append(File.generated(config, _PAGE, content=page(text)))
    return files


def page(notebook: str) -> str:
    """Return a notebook as Markdown; the remark on it follows the title."""
    cells = [_markdown(cell) for cell in nbformat.reads(notebook, as_version=4).cells]
    title, _, introduction = cells[0].partition("\n")
    return "\n".join([title, "", _ABOUT, introduction, *cells[1:]])


def _markdown(cell: Any) -> str:
    source = cell.source.strip("\n")
    return f"```python\n{source}\n```\n" if cell.cell_type == "code" else f"{source}\n"
