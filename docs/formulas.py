"""Formulas on the site: TeX between dollar signs becomes MathML, which browsers draw without a script or the network.

The extension ``arithmatex`` finds the formulas, so that code and shell variables stay as they are.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from plain_roles import linked

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_THEORY = "theory.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link the theorems that the theory mentions, as a hook of MkDocs."""
    return linked(markdown) if page.file.src_uri == _THEORY else markdown


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Draw a page's formulas, as a hook of MkDocs."""

    def drawn(found: re.Match[str]) -> str:
        try:
            return mathml(html.unescape(found[2]).strip(), "inline" if found[1] == "span" else "block")
        except ValueError as error:
            raise PluginError(f"{page.file.src_uri}: {error}") from None

    return _FORMULA.sub(drawn, content)


def mathml(tex: str, display: str = "inline") -> str:
    """Return a formula as MathML; ``display`` is ``inline`` or ``block``.

    Raises:
        ValueError: The formula is no TeX, or has a command that the converter does not know.
    """
    try:
        formula: str = convert(tex, display=display)
    except Exception as error:  # the converter's errors have no common class
        raise ValueError(f"The formula ${tex}$ is no valid TeX ({type(error).__name__}).") from error
    if unknown := re.search(r"\\\w*", formula):
        raise ValueError(f"The formula ${tex}$ has {unknown[0]}, which latex2mathml does not convert.")
    if tex.replace(r"\{", "").count("{") != tex.replace(r"\}", "").count("}"):
        raise ValueError(f"The formula ${tex}$ has unbalanced braces.")
    return formula
