"""Docstrings on the site: Sphinx roles, ``:class:`~a.b.C```, become plain code, and theorems become links."""

import re
from typing import Any

from griffe import Extension

_ROLE = re.compile(r":(?:class|meth|func|attr|data):`(?:~(?:\w+\.)*)?([^`]+)`")
_MENTION = re.compile(r"(?<![\w`*\[])(Theorem|Definition|Claim)s? \d+(?:(?:, | and | or )\d+)*(?![\w`\]])")


class PlainRoles(Extension):
    """Rewrite every docstring before it is parsed."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = linked(_ROLE.sub(r"`\1`", obj.docstring.value), "../theory.md")


def linked(text: str, theory: str = "") -> str:
    """Return Markdown in which the numbers of theorems, definitions and claims are links to docs/theory.md."""

    def links(mention: re.Match[str]) -> str:
        anchor = f"{theory}#{mention[1].lower()}"
        return re.sub(r"(?:[A-Z]\w+ )?(\d+)", rf"[\g<0>]({anchor}-\1)", mention[0])

    return _MENTION.sub(links, text)
