"""Verdicts of single images, and the location maps that they add up to, recomputed from the tables."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mrcert_pl.errors import ResultsError
from mrcert_pl.mutants.shards import Row
from mrcert_pl.results.schema import VerdictRow
from mrcert_pl.verification.differences import Differences, plain
from mrcert_pl.verification.evaluation import Evaluation
from mrcert_pl.verification.refined import resolve
from mrcert_pl.verification.rules import completions

Labels = Mapping[int, int] | Callable[[int], int | None]
"""True labels by image id: a mapping of all images, or a function that returns ``None`` for an unknown image."""

_IMAGES = 16
_COLUMNS = (
    "prediction",
    "case",
    "witness",
    "certified",
    "round_trip",
    "certified_patches",
    "level",
    "safe_masks",
    "alert",
    "detects",
)
_CERTIFICATES = ("certified", "round_trip", "certified_patches", "safe_masks")


def compare_ids(evaluation: Evaluation, labels: Labels | None, differences: Differences) -> None:
    """Compare the images of the verdicts with those of the tables and of the data set; each must occur once.

    Raises:
        ResultsError: if an image has no table.
    """
    result, index = evaluation.result, evaluation.evidence.index
    ids = Counter(row.id for row in evaluation.claim.rows)
    differences.expect(None, "n", result.n, len(ids))
    for image_id, rows in sorted(ids.items()):
        differences.expect(image_id, "number of rows", rows, 1)
    if without := ids.keys() - index.keys():
        raise ResultsError(
            f"there are tables of {len(ids) - len(without)} of the {len(ids)} images in "
            f"{evaluation.evidence.folder}; name the store= of this evaluation with --tables"
        )
    dataset = result.config.get("dataset")
    limit = dataset.get("limit") if isinstance(dataset, dict) else None
    known: Collection[int] = labels.keys() if isinstance(labels, Mapping) else index.keys()
    if limit is None:
        for image_id in sorted(set(known) - ids.keys()):
            differences.expect(image_id, "number of rows", 0, 1)
    else:
        differences.expect(None, "n", result.n, min(limit, len(known)) if type(limit) is int else limit)


class RowComparison:
    """The comparison of every column of the verdicts, and of the location maps.

    Attributes:
        images: Images whose verdicts were computed again.
        completed: Images whose tables lack entries, which were completed in several ways.
    """

    def __init__(self, evaluation: Evaluation, labels: Labels | None, differences: Differences) -> None:
        self.images = self.completed = 0
        self._evaluation, self._labels, self._differences = evaluation, labels, differences
        self._expect = differences.expect
        self._draws = np.random.default_rng(0)

    def run(self, progress: Callable[[int], object]) -> None:
        """Compare all images; ``progress`` gets their number after each batch.

        Raises:
            ResultsError: if a table is shorter than the defender needs.
        """
        evidence = self._evaluation.evidence
        written = {row.id: row for row in self._evaluation.claim.rows}
        maps: list[np.ndarray] | None = None
        for shard, ids in evidence.by_shard().items():
            wanted = [image_id for image_id in ids if image_id in written]
            tables = evidence.rows(shard, wanted) if wanted else []
            for start in range(0, len(tables), _IMAGES):
                part = tables[start : start + _IMAGES]
                rows = [written[table.id] for table in part]
                self._compare_images(rows, part)
                counts = self._compare_rules(rows, part)
                if counts is not None:
                    maps = counts if maps is None else [a + b for a, b in zip(maps, counts, strict=True)]
                self.images += len(part)
                progress(self.images)
        self._compare_maps(maps)

    def _compare_images(self, rows: Sequence[VerdictRow], tables: Sequence[Row]) -> None:
        config, columns = self._evaluation.result.config, self._evaluation.columns
        lazily = config.get("output", config.get("evaluate")) not in ("table", "full") or bool(config.get("table"))
        for row, table in zip(rows, tables, strict=True):
            if len(table.labels) < columns:
                raise ResultsError(
                    f"{self._evaluation.evidence.folder} has {len(table.labels)} mutants of image {row.id}, and the "
                    f"defender needs {columns}; name the store= of this evaluation with --tables"
                )
            self._expect(row.id, "label", row.label, table.label)
            self._expect(row.id, "path", row.path, table.path)
            self._expect(row.id, "base_prediction", row.base_prediction, int(table.labels[0]))
            if self._labels is not None:
                known = self._labels.get(row.id) if isinstance(self._labels, Mapping) else self._labels(row.id)
                self._expect(row.id, "label (data set)", row.label, known)
            evaluated = int((table.labels[:columns] >= 0).sum())
            # Another evaluation may have added entries to the table of a lazy one.
            if not (lazily and 0 < row.mutants_evaluated <= evaluated):
                self._expect(row.id, "mutants_evaluated", row.mutants_evaluated, evaluated)

    def _compare_rules(self, rows: Sequence[VerdictRow], tables: Sequence[Row]) -> list[np.ndarray] | None:
        evaluation = self._evaluation
        columns = slice(evaluation.columns)
        labels = np.stack([table.labels[columns] for table in tables]).astype(np.int64)
        margins = np.stack([table.margins[columns] for table in tables]).astype(np.float64)
        log_odds = np.stack([table.log_odds[columns] for table in tables]).astype(np.float64)
        evaluated = labels >= 0
        if evaluation.refined is not None:
            margin = evaluation.settings.get("margin", 0.0)
            threshold = evaluation.mutants["threshold"]
            labels, margins, log_odds = resolve(evaluation.refined, threshold, margin, labels, margins, log_odds)
        incomplete = np.asarray((labels < 0).any(1))
        limited = self._limited(rows, evaluated, incomplete)
        self.completed += int(incomplete.sum())
        counts = None
        differing: set[tuple[int, str]] = set()
        for filled in completions(labels, margins, self._draws):
            answers = evaluation.decide(*filled, log_odds)
            for number, row in enumerate(rows):
                for name in _COLUMNS:
                    if (number, name) in differing:
                        continue
                    computed = answers[name][number].tolist() if name in answers else None
                    stated = plain(getattr(row, name))
                    if limited[number] and name in _CERTIFICATES and _claims_less(stated, computed):
                        answers[name][number] = stated
                    # Not every rule from outside the package has steps.
                    elif (name in answers or name not in ("case", "witness")) and not self._expect(
                        row.id, name, stated, computed
                    ):
                        differing.add((number, name))
            counts = self._compare_placements(rows, answers, differing)
        return counts

    def _limited(self, rows: Sequence[VerdictRow], evaluated: np.ndarray, incomplete: np.ndarray) -> np.ndarray:
        """``[image]``: whether ``refine_limit`` ended the queries, so that certificates may be missing.

        Where nothing is missing, a certificate must be what the tables give, no less. Earlier versions did not write
        which images reached the limit.

        Args:
            rows: verdicts.
            evaluated: ``[image, column]``, entries that the tables have.
            incomplete: ``[image]``, whether a label that the defender decides on is missing.
        """
        limit, refined = self._evaluation.result.config.get("refine_limit"), self._evaluation.refined
        if refined is None or type(limit) is not int:
            reached = np.zeros(len(rows), dtype=bool)
        else:
            reached = (evaluated & ~refined.coarsest).sum(1) >= limit
        for number, row in enumerate(rows):
            # Another evaluation may have added what was missing.
            was_incomplete = incomplete[number] or row.mutants_evaluated < evaluated[number].sum()
            if row.limit_reached and not (reached[number] and was_incomplete):
                self._expect(row.id, "limit_reached", True, False)
        stated: np.ndarray = np.array([row.limit_reached is not False for row in rows])
        return reached & stated & incomplete

    def _compare_placements(
        self, rows: Sequence[VerdictRow], answers: Mapping[str, np.ndarray], differing: set[tuple[int, str]]
    ) -> list[np.ndarray] | None:
        every = self._evaluation.placements
        if "safe_masks" not in answers or not every:
            for row in rows:
                self._expect(row.id, "certified_fraction", row.certified_fraction, None)
            return None
        safe = [placements.safe(answers["safe_masks"]) for placements in every]
        number = sum(placements.size[0] * placements.size[1] for placements in every)
        fractions = np.sum([p.placements(s) for p, s in zip(every, safe, strict=True)], axis=0) / number
        for number, (row, fraction) in enumerate(zip(rows, fractions, strict=True)):
            name = "certified_fraction"
            if (number, name) not in differing and not self._expect(
                row.id, name, row.certified_fraction, float(fraction), tolerance=1e-6
            ):
                differing.add((number, name))
        correct = np.array([row.correct for row in rows])
        return [p.count(s[correct]) for p, s in zip(every, safe, strict=True)]

    def _compare_maps(self, counts: list[np.ndarray] | None) -> None:
        written = self._evaluation.claim.maps
        if counts is None or written is None:
            if (counts is None) != (written is None):
                stated, expected = ("no file" if part is None else "a file" for part in (written, counts))
                self._expect(None, "locations.npz", stated, expected)
            return
        computed = {f"counts_{shape}": count for shape, count in enumerate(counts)}
        computed |= {"n": np.array(self.images), "image_px": np.array(self._evaluation.image_px)}
        for name in sorted({*written, *computed}):
            one, other = written.get(name), computed.get(name)
            if one is None or other is None or not np.array_equal(one, other):
                stated, expected = (
                    "nothing" if part is None else f"an array of sum {part.sum()}" for part in (one, other)
                )
                self._differences.add(None, f"locations.npz: {name}", stated, expected)


def _claims_less(stated: Any, computed: Any) -> bool:
    """Whether a certificate, a number of patches or a list of them claims no more than another one."""
    if isinstance(stated, list) and isinstance(computed, list) and len(stated) == len(computed):
        return all(_claims_less(one, other) for one, other in zip(stated, computed, strict=True))
    return type(stated) is type(computed) and isinstance(stated, int) and stated <= computed
