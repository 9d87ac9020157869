"""Maps of the page: where on the images certificates hold."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import PercentFormatter

from mrcert_pl.reporting.locations import Locations
from mrcert_pl.reporting.page.svg import Picture, drawing, embedded
from mrcert_pl.reporting.summary import percent


def location_map(locations: Locations, shape: int, name: str, limits: tuple[float, float]) -> Picture:
    """Share of the images that are labelled rightly whatever a patch centred here shows.

    Args:
        locations: the maps of a run.
        shape: which one of them.
        name: of the run.
        limits: shares of the lowest and of the highest colour.
    """
    shares = locations.counts[shape] / locations.n
    patch = locations.shapes_px()[shape]
    height, width = locations.image_px
    top, left = ((side - 1) / 2 - 0.5 for side in patch)
    with drawing(2.9, 2.5 * min(height / width, 1.5) + 0.3) as figure:
        axis = figure.subplots()
        extent = (left, left + shares.shape[1], top + shares.shape[0], top)
        image = axis.imshow(
            shares, cmap="viridis", vmin=limits[0], vmax=limits[1], extent=extent, interpolation="nearest"
        )
        axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[0, width], yticks=[0, height])
        axis.spines[["top", "right"]].set_visible(True)
        figure.colorbar(image, ax=axis, format=PercentFormatter(1, decimals=0), shrink=0.8)
        low, mean, high = (percent(float(value)) for value in (shares.min(), shares.mean(), shares.max()))
        words = f"{low} to {high} % of the images by place, {mean} % on average"
        size = f"{patch[0]}x{patch[1]} px"
        where = f"{name}: where a {size} patch is centred"
        alt = f"Map of {height}x{width} px. {where}, it can't change the right label of {words}."
        return embedded(figure, alt, f"{where}: {words}.")


def limits_of(maps: Sequence[Locations]) -> tuple[float, float]:
    """One scale for several maps, in steps of 5 %."""
    shares = [count / m.n for m in maps for count in m.counts]
    low = np.floor(20 * min(share.min() for share in shares)) / 20
    high = np.ceil(20 * max(share.max() for share in shares)) / 20
    return float(low), float(max(high, low + 0.05))
