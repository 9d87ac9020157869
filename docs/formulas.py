"""Formulas on the site: TeX between dollar signs becomes MathML, which browsers draw without a script or the network.

The extension ``arithmatex`` finds the formulas, so that code and shell variables stay as they are.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from plain_roles import linked

_THEORY = "theory.md"
_BESIDE = r"([\w.,;:!?)\]\"'-]*)"  # punctuation, or the rest of a word
_FORMULA = re.compile(rf'([(\["]*)<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\2>{_BESIDE}', re.DOTALL)
_RELATION = re.compile(r"[{}=<>]|\\(?:ne|le|ge|in|subseteq|supseteq|nsupseteq|mapsto)\b")
_LONG = 16  # symbols; a longer formula may break after a relation

# What browsers draw better than the converter's elements.
_REWRITTEN = [
    (re.compile(r"<mo[^>]*>(&#x02205;|&#x02026;|&#x0007C;|max|min)</mo>"), r"<mi>\1</mi>"),  # no space around them
    (re.compile(r"(<mi>(?:log|ln|exp)</mi>)(?=<m(?:i|n|sub|sup)>)"), r'\1<mspace width="0.17em"/>'),
    (re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>"), r"<mrow>\1<mi>&#x02032;</mi></mrow>"),  # is raised
]
_ALPHABET = re.compile(r"(\\math(?:cal|bb)) (\w)")  # with braces the letter itself, not an attribute that few know


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link the theorems that the theory mentions, as a hook of MkDocs."""
    return linked(markdown) if page.file.src_uri == _THEORY else markdown


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Draw a page's formulas, as a hook of MkDocs."""

    def drawn(found: re.Match[str]) -> str:
        before, element, formula, after = found.groups()
        tex = html.unescape(formula).strip()
        try:
            parts = [mathml(tex, "block")] if element == "div" else breakable(tex)
        except ValueError as error:
            raise PluginError(f"{page.file.src_uri}: {error}") from None
        parts[0] = before + parts[0]
        parts[-1] += after
        return f'<{element} class="arithmatex">{"".join(f"<span>{part}</span>" for part in parts)}</{element}>'

    return _FORMULA.sub(drawn, content)


def breakable(tex: str) -> list[str]:
    """Return a formula in a line of text as MathML, in several parts if it is long: browsers break none."""
    whole = mathml(tex)
    if len(re.sub(r"\\\w+|\S", "x", tex).replace(" ", "")) <= _LONG:
        return [whole]
    parts, start, depth = [], 0, 0
    for found in _RELATION.finditer(tex):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0 and found[0] != "}" and tex[start : found.start()].strip():
            parts.append(tex[start : found.end()])
            start = found.end()
    return [mathml(part) for part in [*parts, tex[start:]]]


def mathml(tex: str, display: str = "inline") -> str:
    """Return a formula as MathML; ``display`` is ``inline`` or ``block``.

    Raises:
        ValueError: The formula is no TeX, or has a command that the converter does not know.
    """
    try:
        formula: str = convert(_ALPHABET.sub(r"\1{\2}", tex), display=display)
    except Exception as error:  # the converter's errors have no common class
        raise ValueError(f"The formula ${tex}$ is no valid TeX ({type(error).__name__}).") from error
    if unknown := re.search(r"\\\w*", formula):
        raise ValueError(f"The formula ${tex}$ has {unknown[0]}, which latex2mathml does not convert.")
    if tex.replace(r"\{", "").count("{") != tex.replace(r"\}", "").count("}"):
        raise ValueError(f"The formula ${tex}$ has unbalanced braces.")
    for element, better in _REWRITTEN:
        formula = element.sub(better, formula)
    return formula
