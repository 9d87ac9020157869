"""Figures as pictures inside a page, in the colours of its light or dark form."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

# Stands for the colour of the text, which the reader's settings decide.
INK = "#010203"
_COLOURS = "<style>svg{color:#1c2128}@media(prefers-color-scheme:dark){svg{color:#e6e8eb}}</style>"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mrcert",
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Picture:
    """A picture inside a page.

    Attributes:
        source: a ``data:`` address that holds all of it.
        alt: what it shows, in words.
        caption: what stands below it.
    """

    source: str
    alt: str
    caption: str = ""


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches to draw on, for :func:`embedded`."""
    with rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def embedded(figure: Figure, alt: str, caption: str = "") -> Picture:
    """A figure as SVG whose text takes the colour of the page; to be called while it is :func:`drawing`."""
    text = io.StringIO()
    unsaid: Any = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(text, format="svg", transparent=True, metadata=unsaid)
    _, svg = text.getvalue().replace(INK, "currentColor").split("<svg", 1)
    head, body = svg.split(">", 1)
    return Picture(data_uri(f"<svg{head}>{_COLOURS}{body}".encode(), "image/svg+xml"), alt, caption)


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that holds all of it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
