"""Style of figures, and figures as SVG inside a page in the colours of its light or dark form."""

import base64
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mrcert_pl.results.schema import Accuracy, SeedAccuracy
from mrcert_pl.results.statistics import bounds

# Okabe and Ito's colours, distinct for colour-blind readers too, and readable on white and on black.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY = "#7d838c"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
MARKERS = "osD^vP"
# Placeholder of the text colour, which the reader's settings determine.
INK = "#010203"

# Characters that XML excludes; browsers refuse an image that has one.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_COLOURS = "<style>svg{color:#1c2128}@media(prefers-color-scheme:dark){svg{color:#e6e8eb}}</style>"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mrcert",
    # Names come from files: a dollar sign in one is no formula.
    "text.parse_math": False,
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
class EmbeddedImage:
    """An image inside a page.

    Attributes:
        source: ``data:`` address with its content.
        alt: Description.
        caption: Text below it.
    """

    source: str
    alt: str
    caption: str = ""


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """A figure of a width and height in inches to draw on, for :func:`embedded`."""
    with rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def embedded(figure: Figure, alt: str, caption: str = "") -> EmbeddedImage:
    """Return a figure as SVG whose text takes the colour of the page; call it inside :func:`drawing`."""
    text = io.StringIO()
    unsaid: Any = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with warnings.catch_warnings():
        # The text stays text, and a browser has more fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(text, format="svg", transparent=True, metadata=unsaid)
    content = _NOT_XML.sub("\ufffd", text.getvalue()).replace(INK, "currentColor")
    _, svg = content.split("<svg", 1)
    head, body = svg.split(">", 1)
    return EmbeddedImage(data_uri(f"<svg{head}>{_COLOURS}{body}".encode(), "image/svg+xml"), alt, caption)


def data_uri(content: bytes, kind: str) -> str:
    """Return the content of a file as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def percent_ticks() -> FuncFormatter:
    """Tick labels in per cent, with as many digits as a tick needs: 7.5 %, not 8 %."""
    return FuncFormatter(lambda value, _: f"{100 * value:.4g}%")


def look(number: int) -> tuple[str, str]:
    """Marker and colour of one of many lines; no two of the first 30 are alike in both."""
    turn, place = divmod(number, len(MARKERS))
    return MARKERS[place], COLOURS[(place + turn) % len(COLOURS)]


def error_bars(accuracies: Sequence[Accuracy | SeedAccuracy]) -> np.ndarray:
    """Lengths of the bars below and above, ``[2, accuracy]``."""
    reach = np.zeros((2, len(accuracies)))
    for place, accuracy in enumerate(accuracies):
        ends, value = bounds(accuracy), accuracy.measured
        if ends is not None and value is not None:
            reach[:, place] = max(value - ends[0], 0), max(ends[1] - value, 0)
    return reach
