"""Kinds of verdicts, and a choice of rows that shows all of them."""

from collections.abc import Sequence

from mrcert_pl.errors import ResultsError
from mrcert_pl.results.schema import VerdictRow


def kind_of(row: VerdictRow) -> str:
    """Kind of a verdict: ``round trip``, ``certified``, ``correct, not certified`` or ``misclassified``.

    Of a detector: ``alert``, ``detection certified``, or the last two.
    """
    if row.alerted:
        return "alert"
    if row.correct and row.detection_certified:
        return "detection certified"
    if row.correct_and_round_trip:
        return "round trip"
    if row.correct_and_certified:
        return "certified"
    return "correct, not certified" if row.correct else "misclassified"


def choose(rows: Sequence[VerdictRow], wanted: int | Sequence[int]) -> list[VerdictRow]:
    """Choose rows: at most ``wanted``, of every kind in turn, the first ones of each; or those of given ids.

    Raises:
        ResultsError: If there is no row of an id.
    """
    if not isinstance(wanted, int):
        found = {row.id: row for row in rows}
        if missing := [image_id for image_id in wanted if image_id not in found]:
            raise ResultsError(f"there are no verdicts on the images {missing}; verdicts.parquet has the ids of all")
        return [found[image_id] for image_id in wanted]
    kinds: dict[str, list[VerdictRow]] = {}
    for row in rows:
        kinds.setdefault(kind_of(row), []).append(row)
    turns = [(turn, order, row) for order, alike in enumerate(kinds.values()) for turn, row in enumerate(alike)]
    return [row for *_, row in sorted(turns, key=lambda turn: turn[:2])[:wanted]]
