"""Two evaluations of the page, image by image."""

from collections.abc import Mapping

from mrcert_pl.reporting.compare import HEADER, LEGEND, Paired, cells, differing, introduced
from mrcert_pl.reporting.page.parts import Section, Table
from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import titles


def comparison_section(first: Run, second: Run, paired: Mapping[str, Paired]) -> Section:
    """What both runs reach, McNemar's test of the differences, and every image that only one of them has."""
    n, names = first.result["n"], titles([])
    tables = [Table("Accuracy in % (number of images)", ["", *HEADER], cells(paired, n))]
    images = [
        [str(key), names[name], run.upper(), path, str(label), str(a), str(b)]
        for name, run, key, path, label, a, b in differing(first, second, paired)
    ]
    if images:
        header = ["image", "accuracy", "only in", "path", "label", "label by A", "label by B"]
        tables.append(Table("Images that only one of the two has; labels by their numbers", header, images))
    return Section(f"A and B on the same {n} images", [*introduced(first, second), LEGEND], tables)
