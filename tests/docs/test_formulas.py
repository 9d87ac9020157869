"""Formulas of the documentation become MathML; what names a theorem leads to it."""

import html
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import markdown
import pytest
from mkdocs.exceptions import PluginError
from pages import PAGES, ROOT

sys.path.insert(0, str(ROOT / "docs"))  # as MkDocs does for hooks
formulas, plain_roles = import_module("formulas"), import_module("plain_roles")
sys.path.pop(0)

THEORY = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
ANCHORS = re.findall(r'<a id="([\w-]+)"></a>', THEORY)
STATEMENT = re.compile(r"^\*\*(Theorem|Definition|Claim) (\d+)", re.MULTILINE)
SETTINGS = {"pymdownx.arithmatex": {"generic": True}}
EXTENSIONS = ["attr_list", "md_in_html", "tables", "pymdownx.superfences", *SETTINGS]


def built(text: str, name: str = "page.md") -> str:
    """A page's HTML, with what the hook does to it."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri=name))
    text = formulas.on_page_markdown(text, page)
    return formulas.on_page_content(markdown.markdown(text, extensions=EXTENSIONS, extension_configs=SETTINGS), page)


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def symbols(text: str) -> str:
    """The characters of a formula's MathML."""
    return html.unescape(re.sub(r"<[^>]+>|\s", "", text))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_formula_of_a_page_converts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    page = built(text, path.name)
    assert not re.search(r'class="arithmatex">(?!<span>[("]*<math)', page)
    plain = prose(text)
    inline = len(re.findall(r"(?<!\$)\$(?!\$)", plain)) / 2
    assert page.count('<span class="arithmatex">') == inline
    assert page.count('<div class="arithmatex">') == plain.count("$$") / 2


@pytest.mark.parametrize(
    ("tex", "drawn"),
    [
        (r"p'(S \cup T) = p(S)", "p\u2032(S\u222aT)=p(S)"),
        (r"T \in \mathcal{U}_{N+1}", "T\u2208\U0001d4b0N+1"),
        ("a < b", "a<b"),
        (r"\lbrace R \rbrace", "{R}"),
        (r"\{R\}", "{R}"),
    ],
)
def test_a_formula_is_drawn_in_its_line(tex: str, drawn: str) -> None:
    page = built(f"Let ${tex}$ hold for *all* of them.")
    assert symbols(re.findall(r"<math.*?</math>", page)[0]) == drawn
    assert page.endswith("hold for <em>all</em> of them.</p>")


@pytest.mark.parametrize(
    ("tex", "element"),
    [
        (r"p(\emptyset)", "<mi>&#x02205;</mi>"),
        (r"\max(a, b)", "<mi>max</mi>"),
        ("|A|", "<mi>&#x0007C;</mi><mi>A</mi><mi>&#x0007C;</mi>"),
        (r"\ln m", '<mi>ln</mi><mspace width="0.17em"/><mi>m</mi>'),
        ("p'(S)", "<mrow><mi>p</mi><mi>&#x02032;</mi></mrow>"),
        (r"\mathcal U_N", "<msub><mi>&#x1D4B0;</mi><mi>N</mi></msub>"),
        (r"\mathbb M_r", "<msub><mi>&#x1D544;</mi><mi>r</mi></msub>"),
    ],
)
def test_elements_that_browsers_draw_well(tex: str, element: str) -> None:
    assert element in formulas.mathml(tex)


@pytest.mark.parametrize(
    ("tex", "parts"),
    [
        (r"p(S \cup T) = p(S)", ["p(S\u222aT)=p(S)"]),
        (r"p(S) = p(S \cup S') = p(S')", ["p(S)=", "p(S\u222aS\u2032)=", "p(S\u2032)"]),
        (
            r"\log(s/(1-s)) = z_c - \log \sum_{k \ne c} \exp z_k",
            ["log(s/(1\u2212s))=", "zc\u2212log\u2211k\u2260cexpzk"],
        ),
        (r"> m_A(c) + m_B(c) + m_C(c)", [">mA(c)+mB(c)+mC(c)"]),
    ],
)
def test_a_long_formula_breaks_after_relations(tex: str, parts: list[str]) -> None:
    assert list(map(symbols, formulas.breakable(tex))) == parts


@pytest.mark.parametrize(
    ("text", "unbroken"),
    [
        ("for $n$, then", ["n,"]),
        ("($n$) or ($n$ too)", ["(n)", "(n"]),
        ("an $n$-witness.", ["n-witness."]),
        ("the $n$ votes", ["n"]),
        ("**$n$** votes", ["n"]),
        ("($p(S) = p(S \\cup S') = p(S')$).", ["(p(S)=", "p(S\u222aS\u2032)=", "p(S\u2032))."]),
    ],
)
def test_punctuation_stays_in_the_line_of_its_formula(text: str, unbroken: list[str]) -> None:
    assert list(map(symbols, re.findall(r"<span>(.*?)</span>", built(text)))) == unbroken


def test_a_formula_between_two_dollars_has_a_line_of_its_own() -> None:
    assert 'display="block"' in built("Let\n\n$$\nm(f) > 2\\delta\n$$\n\nThen")


@pytest.mark.parametrize(
    "text",
    [
        "```bash\neval.py $S $T\n```",
        "`eval.py $S $T`",
        "For 5 $ or 6 $.",
        "`a$b` and `c$d`",
        "It costs $5.",
    ],
)
def test_code_and_dollars_stay(text: str) -> None:
    page = built(text)
    assert "<math" not in page
    assert page.count("$") == text.count("$")


@pytest.mark.parametrize(
    ("tex", "reason"),
    [
        (r"\witness(S)", r"The formula $\witness(S)$ has \witness, which latex2mathml does not convert."),
        (r"\frac{a}{", r"The formula $\frac{a}{$ is no valid TeX (NoAvailableTokensError)."),
        (r"a_b_c", "The formula $a_b_c$ is no valid TeX (DoubleSubscriptsError)."),
        (r"a_{b", "The formula $a_{b$ has unbalanced braces."),
    ],
)
def test_a_formula_that_does_not_convert_ends_the_build(tex: str, reason: str) -> None:
    with pytest.raises(PluginError) as error:
        built(f"Let ${tex}$.", "howto/deploy.md")
    assert str(error.value) == f"howto/deploy.md: {reason}"


def test_every_statement_has_an_anchor_above_it() -> None:
    found = STATEMENT.findall(THEORY)
    assert len(found) >= 41
    assert len(found) == len(set(found))
    for word, number in found:
        assert f'<a id="{word.lower()}-{number}"></a>\n**{word} {number}' in THEORY
    assert len(ANCHORS) == len(set(ANCHORS))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_to_a_statement_has_its_anchor(path: Path) -> None:
    text = built(path.read_text(encoding="utf-8"), "theory.md" if path.name == "theory.md" else "page.md")
    links = re.findall(r'href="[./\w]*#((?:theorem|definition|claim|corollary)-[\w-]+)"', text)
    assert [link for link in links if link not in ANCHORS] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_mention_of_a_statement_is_a_link(path: Path) -> None:
    text = built(path.read_text(encoding="utf-8"), "theory.md" if path.name == "theory.md" else "page.md")
    text = re.sub(r"<a [^>]*>.*?</a>|<strong>.*?</strong>|<code>.*?</code>", "", text, flags=re.DOTALL)
    assert re.findall(r"(?:Theorem|Definition|Claim)s? \d+", text) == []


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("By Theorem 4.", "By [Theorem 4](../theory.md#theorem-4)."),
        ("Definition 7 (b)", "[Definition 7](../theory.md#definition-7) (b)"),
        (
            "Theorems 2, 3 and 14 hold",
            "[Theorems 2](../theory.md#theorem-2), [3](../theory.md#theorem-3) and [14](../theory.md#theorem-14) hold",
        ),
        ("Theorem 8 or 11", "[Theorem 8](../theory.md#theorem-8) or [11](../theory.md#theorem-11)"),
        ("`Theorem 4`", "`Theorem 4`"),
        ("[Theorem 4](theory.md)", "[Theorem 4](theory.md)"),
        ("Theorems of others", "Theorems of others"),
    ],
)
def test_mentions_in_docstrings_become_links(text: str, link: str) -> None:
    docstring = SimpleNamespace(docstring=SimpleNamespace(value=text))
    plain_roles.PlainRoles().on_instance(obj=docstring)
    assert docstring.docstring.value == link


def test_docstrings_name_statements_that_exist() -> None:
    names = {f"{word} {number}" for word, number in STATEMENT.findall(THEORY)}
    for path in (ROOT / "src").rglob("*.py"):
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        for word, numbers in re.findall(r"\b(Theorem|Definition|Claim)s? (\d+(?:(?:, | and | or )\d+)*)", text):
            assert {f"{word} {number}" for number in re.findall(r"\d+", numbers)} <= names, path


def test_the_site_has_the_hook() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.search(r"^hooks: \[.*docs/formulas\.py\]$", settings, re.MULTILINE)
    assert "pymdownx.arithmatex:\n      generic: true\n" in settings
