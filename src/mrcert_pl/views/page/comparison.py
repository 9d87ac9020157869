"""Two evaluations of the page, image by image."""

from mrcert_pl.results.compare import Comparison
from mrcert_pl.views.comparison import HEADER, LEGEND, comparison_cells, introduction
from mrcert_pl.views.page.parts import Section, Table
from mrcert_pl.views.words import ALL_TITLES


def comparison_section(comparison: Comparison) -> Section:
    """The accuracies of both runs, McNemar's test of the differences, and every image that differs."""
    tables = [Table("Accuracy in % (number of images)", ["", *HEADER], comparison_cells(comparison))]
    images = [
        [
            str(a.id),
            ALL_TITLES[each.accuracy],
            each.only_in.upper(),
            a.path,
            str(a.label),
            str(a.prediction),
            str(b.prediction),
        ]
        for each in comparison.differing
        for a, b in [each.rows]
    ]
    if images:
        header = ["image", "accuracy", "only in", "path", "label", "label by A", "label by B"]
        tables.append(Table("Images that only one of the two has; labels by their numbers", header, images))
    title = f"A and B on the same {comparison.n} images"
    return Section(title, [*introduction(comparison), LEGEND], tables)
