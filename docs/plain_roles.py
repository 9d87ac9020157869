"""Docstrings on the site: Sphinx roles, ``:class:`~a.b.C```, become plain code, and theorems become links."""

import re
from pathlib import Path
from typing import Any

from griffe import Extension
from markdown.extensions.toc import slugify

_ROLE = re.compile(r":(?:class|meth|func|attr|data):`(?:~(?:\w+\.)*)?([^`]+)`")
_STATEMENT = re.compile(r"\*\*((?:Theorem|Definition|Claim) \d+)")
_MENTION = re.compile(r"(?<![\w`])(?:Theorem|Definition|Claim) \d+(?![\w`])")


class PlainRoles(Extension):
    """Rewrite every docstring before it is parsed."""

    def __init__(self) -> None:
        super().__init__()
        self.sections = sections((Path(__file__).parent / "theory.md").read_text(encoding="utf-8"))

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _MENTION.sub(self.link, _ROLE.sub(r"`\1`", obj.docstring.value))

    def link(self, mention: re.Match[str]) -> str:
        """Return a link to the section that contains the statement."""
        section = self.sections.get(mention[0])
        return f"[{mention[0]}](../theory.md#{section})" if section else mention[0]


def sections(theory: str) -> dict[str, str]:
    """Return the anchor of the section of every numbered statement."""
    found, section = {}, ""
    for line in theory.splitlines():
        if line.startswith("## "):
            section = slugify(line[3:], "-")
        elif statement := _STATEMENT.match(line):
            found[statement[1]] = section
    return found
