"""Horizontal bars, each with its number."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from mrcert_pl.files import write_whole

_COLOUR = "#2f6fab"


def bars(path: Path, values: Mapping[str, float], title: str) -> Path:
    """Draw a bar for each name, the first one on top; write a PNG."""
    figure = Figure(figsize=(7, 0.8 + 0.3 * len(values)), layout="constrained")
    axis = figure.subplots()
    drawn = axis.barh(list(values), list(values.values()), color=_COLOUR)
    axis.bar_label(drawn, fmt="%.1f", padding=3, fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    figure.suptitle(title, fontsize=9, x=0.01, horizontalalignment="left")
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    return write_whole(path, lambda partial: figure.savefig(partial, format="png", dpi=110))
