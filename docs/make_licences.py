"""Table of docs/licences.md, from pyproject.toml and the installed packages:  python docs/make_licences.py.

Needs Python 3.11 and the optional packages: pip install -e ".[dashboard,heic,serve,slurm]".
"""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import tomllib

DOCS = Path(__file__).parent
START, END = "<!-- packages -->\n", "<!-- end of packages -->\n"
EXTRAS = ("dashboard", "heic", "serve", "slurm")


def main() -> None:
    """Write the table into the page."""
    page = DOCS / "licences.md"
    before, rest = page.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    page.write_text(f"{before}{START}\n{table()}\n{END}{after}", encoding="utf-8")


def table() -> str:
    """Return one row per run-time dependency."""
    rows = [f"| {name} | {licence(name)} | {extra} |" for name, extra in dependencies()]
    return "\n".join(["| package | licence | extra |", "| --- | --- | --- |", *rows, ""])


def dependencies() -> Iterator[tuple[str, str]]:
    """Yield the name and the extra of every dependency that users install."""
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from ((name_of(each), "") for each in project["dependencies"])
    for extra in EXTRAS:
        yield from ((name_of(each), f"`{extra}`") for each in project["optional-dependencies"][extra])


def name_of(requirement: str) -> str:
    """Return the name in a requirement."""
    return re.split(r"[^\w.-]", requirement)[0]


def licence(name: str) -> str:
    """Return the licence that an installed package states: SPDX expression, short text or classifier."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    text = (about.get("License") or "").removeprefix("UNKNOWN")
    classifiers = [each for each in about.get_all("Classifier") or [] if each.startswith("License :: OSI Approved ::")]
    if expression := about.get("License-Expression"):
        return str(expression)
    if text and len(text) < 40:
        return text
    return ", ".join(each.rpartition(" :: ")[2] for each in classifiers) or "not stated"


if __name__ == "__main__":
    main()
