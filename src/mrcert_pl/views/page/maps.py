"""Maps of the page: fraction of images whose certificate holds, by location of the patch."""

from collections.abc import Sequence

import numpy as np

from mrcert_pl.results.locations import Locations
from mrcert_pl.views.drawing import EmbeddedImage, drawing, embedded, percent_ticks
from mrcert_pl.views.words import percent


def location_map(locations: Locations, shape: int, name: str, limits: tuple[float, float]) -> EmbeddedImage:
    """Fraction of the images that are classified correctly whatever a patch centred at a pixel shows.

    Args:
        locations: Maps of a run.
        shape: Number of the map.
        name: Name of the run.
        limits: Fractions of the lowest and of the highest colour.
    """
    fractions = locations.counts[shape] / locations.n
    patch = locations.shapes_px()[shape]
    height, width = locations.image_px
    top, left = ((side - 1) / 2 - 0.5 for side in patch)
    with drawing(2.9, 2.5 * min(height / width, 1.5) + 0.3) as figure:
        axis = figure.subplots()
        extent = (left, left + fractions.shape[1], top + fractions.shape[0], top)
        image = axis.imshow(
            fractions, cmap="viridis", vmin=limits[0], vmax=limits[1], extent=extent, interpolation="nearest"
        )
        axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[0, width], yticks=[0, height])
        axis.spines[["top", "right"]].set_visible(True)
        figure.colorbar(image, ax=axis, format=percent_ticks(), shrink=0.8)
        low, mean, high = (percent(float(value)) for value in (fractions.min(), fractions.mean(), fractions.max()))
        words = f"{low} to {high} % of the images by location, {mean} % on average"
        where = f"{name}: where a {patch[0]}x{patch[1]} px patch is centred"
        alt = f"Map of {height}x{width} px. {where}, it can't change the correct label of {words}."
        return embedded(figure, alt, f"{where}: {words}.")


def limits_of(maps: Sequence[Locations]) -> tuple[float, float]:
    """One colour scale for several maps, in steps of 5 %."""
    fractions = [count / each.n for each in maps for count in each.counts]
    low = np.floor(20 * min(fraction.min() for fraction in fractions)) / 20
    high = np.ceil(20 * max(fraction.max() for fraction in fractions)) / 20
    return float(low), float(max(high, low + 0.05))
