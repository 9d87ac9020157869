"""The quick-start notebook as a page of the site: text and code, with the outputs of an executed copy if there is one.

The notebook in the repository has no outputs. `make notebook` runs it and leaves an executed copy in build/, which is
read here; the build itself runs nothing.
"""

import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File

_NOTEBOOK, _PAGE = "quickstart.ipynb", "notebook.md"
_ABOUT = f"[Download this notebook]({_NOTEBOOK}); `make notebook` runs it."
_OUTPUTS = "The outputs below are those of one run."
_NO_OUTPUTS = "This page has no outputs: run `make notebook`, then `make docs`, to see what the cells print and draw."
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the page and its figures, as a hook of MkDocs."""
    docs = Path(config.docs_dir)
    executed = docs.parent / "build" / _NOTEBOOK
    text, figures = page(
        (docs / _NOTEBOOK).read_text(encoding="utf-8"),
        executed.read_text(encoding="utf-8") if executed.exists() else None,
    )
    files.append(File.generated(config, _PAGE, content=text))
    for name, content in figures.items():
        files.append(File.generated(config, name, content=content))
    return files


def page(notebook: str, executed: str | None = None) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, a remark on it after the title, and its figures by name.

    Outputs come from the executed copy. A copy of another version of the notebook is ignored.
    """
    cells = nbformat.reads(notebook, as_version=4).cells
    run = nbformat.reads(executed, as_version=4).cells if executed else []
    has_outputs = [cell.source for cell in run] == [cell.source for cell in cells]
    text, figures = [], {}
    for number, cell in enumerate(run if has_outputs else cells):
        text.append(_source(cell))
        for output in cell.get("outputs", ()) if has_outputs else ():
            name = f"notebook-{number}-{len(figures)}.png"
            if png := output.get("data", {}).get("image/png"):
                figures[name] = b64decode(png)
                text.append(f"![Figure drawn by the cell above]({name})\n")
            elif printed := _printed(output):
                text.append(f"```text\n{printed}\n```\n")
    title, _, introduction = text[0].partition("\n")
    about = f"{_ABOUT} {_OUTPUTS if has_outputs else _NO_OUTPUTS}\n"
    return "\n".join([title, "", about, introduction, *text[1:]]), figures


def _source(cell: Any) -> str:
    source = cell.source.strip("\n")
    return f"```python\n{source}\n```\n" if cell.cell_type == "code" else f"{source}\n"


def _printed(output: Any) -> str:
    """Return what a cell printed or returned as text; progress and warnings (stderr) are left out."""
    text = output.get("data", {}).get("text/plain", output.get("text", "") if output.get("name") == "stdout" else "")
    return _ESCAPE.sub("", text).strip("\n")
