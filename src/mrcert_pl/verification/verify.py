"""Recompute everything that an evaluation claims from its tables, with the rules in NumPy."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from mrcert_pl.defenders.registry import OWN, Rule, names, rule_of
from mrcert_pl.errors import ResultsError
from mrcert_pl.mutants.shards import Row
from mrcert_pl.results.schema import ADVERSARIAL, Difference, VerdictRow, VerificationReport
from mrcert_pl.verification.claims import Claim, Evidence, shapes_px
from mrcert_pl.verification.masks import Unions
from mrcert_pl.verification.placements import Placements
from mrcert_pl.verification.refined import RefinedColumns, refined_columns, resolve
from mrcert_pl.verification.votes import touched_votes

Labels = Mapping[int, int] | Callable[[int], int | None]
"""True labels by image id: a mapping of all images, or a function that returns ``None`` for an unknown image."""

FREE = ("checkpoint", "command", "config", "delta", "environment", "seconds", "table", "gflops")
"""Fields that don't follow from tables: paths, times, texts for the reader, and the operations of the model.

Of ``config`` and ``environment`` the entries that repeat another claim are compared with it.
"""

_IMAGES = 16
# A table that was filled lazily must give the same verdict for any missing entries; they are drawn this many times.
_DRAWS = 2
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
_DETECTORS = ("hicert", "patchcensor", "patchguardpp")
_NO_ROUND_TRIP = ("undefended", "patchcure", "patchcure_paper", *_DETECTORS)


def verify(
    run: Path,
    tables: Path | None = None,
    labels: Labels | None = None,
    progress: Callable[[int], object] = lambda images: None,
) -> VerificationReport:
    """Compare every claim of an evaluation with what follows from its tables.

    Recomputed are: that the masks cover the stated patch, every column of the verdicts, their completeness and
    uniqueness, true labels, counts and percentages, costs, location maps, settings and digests. The fields in
    :data:`FREE` are not. The tables themselves are checked for damage; that they hold the labels of the model, only
    another evaluation can tell.

    Args:
        run: Folder of the run, or its ``results.json``.
        tables: Folder of the tables; default: ``mutants`` in the run's folder, else the folder that the result names.
        labels: True labels of the data set, where it is available.
        progress: Called with the number of images after each batch.

    Returns:
        The values that the tables contradict. A defender without a second implementation is skipped, with the reason.

    Raises:
        ResultsError: if a file is missing, damaged or malformed, or the tables belong to another evaluation.
    """
    claim = Claim.read(run.parent if run.name == "results.json" else run)
    result = claim.result
    for place in (result.defender_settings, result.config.get("defender")):
        stated = place.get("name", result.defender) if isinstance(place, Mapping) else result.defender
        if str(stated).rpartition(":")[2] != result.defender:
            raise ResultsError(f"the result in {claim.folder} is of {result.defender}, and its settings of {stated}")
    if result.defender not in names() or (rule := rule_of(result.defender)) is None:
        reason = f"{result.defender} has no second implementation; register it with one to verify its verdicts"
        return VerificationReport(str(claim.folder), result.defender, 0, skipped=reason)
    evidence = Evidence.read(tables or _tables_of(claim))
    if evidence.header.get("weights_sha256") != result.weights_sha256:
        raise ResultsError(
            f"the tables in {evidence.folder} are of other weights than the result; "
            "name those of this evaluation with --tables"
        )
    found = _Comparison(claim, evidence, rule)
    found.compare_facts()
    found.compare_ids(labels)
    found.compare_counts()
    found.compare_verdicts(labels, progress)
    return VerificationReport(
        str(claim.folder), result.defender, found.images, found.completed, tuple(found.differences)
    )


class _Comparison:
    """One evaluation under comparison; differences are collected."""

    def __init__(self, claim: Claim, evidence: Evidence, rule: Rule) -> None:
        self.claim, self.evidence, self.result = claim, evidence, claim.result
        self.images = self.completed = 0
        self.differences: list[Difference] = []
        self.settings = {n: v for n, v in self.result.defender_settings.items() if n not in ("name", "_target_")}
        self.mutants = dict(evidence.mutants())
        borders = evidence.borders()
        image_px = (borders[0][-1], borders[1][-1]) if borders else self.mutants.get("image_px")
        self.image_px = None if image_px is None else (int(image_px[0]), int(image_px[1]))
        self.shapes = () if self.image_px is None else shapes_px(self.result, self.image_px)
        self.placements: list[Placements] = []
        if "masks" in self.mutants and borders:
            masks = [int(mask, 16) for mask in self.mutants["masks"]]
            self.placements = [Placements(masks, borders, shape) for shape in self.shapes]
        elif "masks" in self.mutants and self.result.defender != "undefended":
            raise ResultsError(
                f"the tables in {evidence.folder} don't say where the windows are, so it can't be checked that the "
                "masks cover the patch; evaluate again"
            )
        self.refined: RefinedColumns | None = None
        self.rule = _bound(rule, {**self.mutants, "patch_px": self.shapes}, self.settings, self.result.defender)

    def expect(self, image_id: int | None, field: str, written: Any, computed: Any, tolerance: float = 0.0) -> None:
        """Record a difference of a written value from the computed one."""
        same = type(written) is type(computed) and written == computed
        if tolerance and isinstance(written, (int, float)) and isinstance(computed, (int, float)):
            same = abs(written - computed) <= tolerance
        if not same:
            self.differences.append(Difference(image_id, field, written, computed))

    def compare_facts(self) -> None:
        """Compare what the result says about itself with the header, the configuration and the enumeration of masks."""
        result, header, config = self.result, self.evidence.header, self.result.config
        named = header.get("names", {})
        for name in ("dataset", "model"):
            if isinstance(named, dict) and name in named:
                self.expect(None, name, getattr(result, name), named[name])
        if "precision" in header:
            self.expect(None, "environment.precision", result.environment.precision, header["precision"])
        for name in ("patch", "seed"):
            if name in config:
                self.expect(None, name, _plain(getattr(result, name)), _plain(config[name]))
        defender = config.get("defender")
        if isinstance(defender, dict):
            settings = {n: v for n, v in defender.items() if n not in ("name", "_target_")}
            self.expect(None, "defender_settings", self.settings, settings)
        if "certificate" in (fixed := _defaults(rule_of(result.defender))):
            given = self.settings.get("certificate", fixed["certificate"])
            self.expect(None, "defender_settings.certificate", given, fixed["certificate"])
        margin = self.settings.get("margin", fixed.get("margin"))
        self.expect(None, "margin", result.margin, None if margin is None else float(margin))
        possible = result.defender not in _NO_ROUND_TRIP and self.settings.get("patches", 2) > 1
        # Why another defender has no round trip, only its author can say.
        if result.defender in OWN and (result.round_trip_note is None) != possible:
            self.expect(None, "round_trip_note", result.round_trip_note, None if possible else "a reason")
        # Votes have no masks, hence no placements.
        for placements, shape in zip(self.placements, self.shapes, strict=False):
            if result.defender != "undefended" and (missed := placements.uncovered()) is not None:
                text = f"no mask covers the {shape[0]}x{shape[1]} px patch whose top left pixel is {missed}"
                self.expect(None, "patch", _plain(result.patch), text)
        self._compare_mutants()

    def _compare_mutants(self) -> None:
        if self.result.mutants is None:
            raise ResultsError(f"the result in {self.claim.folder} does not say which mutants the defender looks at")
        kind, sizes = self.result.mutants.kind, dict(self.result.mutants.sizes)
        if "masks" in self.mutants:
            order = self._order(sizes.get("order", 0))
            masks = [int(mask, 16) for mask in self.mutants["masks"]]
            self.columns = Unions(masks, order).sizes[-1]
            computed = {
                "masks": len(masks),
                "unions": self.columns,
                "order": order,
                "windows": self.mutants["windows"],
            }
            if "coarser" in self.mutants:
                self.refined = refined_columns(self.mutants, order)
                self.columns = self.refined.columns
                computed |= {"levels": self.refined.path.shape[1], "columns": self.columns}
                threshold = self.result.config.get("refine_threshold", self.mutants["threshold"])
                self.expect(None, "refine_threshold", threshold, self.mutants["threshold"])
            self.expect(None, "mutants.kind", kind, "unions")
        else:
            touched = touched_votes(self.mutants, self.shapes)
            self.columns = touched.shape[1] + 1
            computed = {n: self.mutants[n] for n in ("width", "stride")}
            computed |= {"votes": touched.shape[1], "delta": int(touched.sum(1).max())}
            self.expect(None, "mutants.votes", self.mutants["votes"], touched.shape[1])
            self.expect(None, "mutants.kind", kind, self.mutants["ablations"])
        for name in {*sizes, *computed}:
            self.expect(None, f"mutants.{name}", sizes.get(name), computed.get(name))

    def _order(self, stated: int) -> int:
        """Largest number of masks in a union, by the rule of a defender of the package."""
        defender, patches = self.result.defender, self.settings.get("patches", 2)
        if defender in _DETECTORS:
            return self.settings.get("at_once", 1)
        return {"undefended": 0, "patchcure": 2, "patchcure_paper": 2}.get(
            defender, 2 * patches if defender in ("mrcert", "mrcert_sharp", "mrcert_cascade") else stated
        )

    def compare_ids(self, labels: Labels | None) -> None:
        """Compare the images of the verdicts with those of the tables and of the data set; each must occur once."""
        ids = Counter(row.id for row in self.claim.rows)
        self.expect(None, "n", self.result.n, len(ids))
        for image_id, rows in sorted(ids.items()):
            self.expect(image_id, "number of rows", rows, 1)
        if without := ids.keys() - self.evidence.index.keys():
            raise ResultsError(
                f"there are tables of {len(ids) - len(without)} of the {len(ids)} images in "
                f"{self.evidence.folder}; name the store= of this evaluation with --tables"
            )
        dataset = self.result.config.get("dataset")
        limit = dataset.get("limit") if isinstance(dataset, dict) else None
        known: Collection[int] = labels.keys() if isinstance(labels, Mapping) else self.evidence.index.keys()
        if limit is None:
            for image_id in sorted(set(known) - ids.keys()):
                self.expect(image_id, "number of rows", 0, 1)
        else:
            self.expect(None, "n", self.result.n, min(limit, len(known)) if type(limit) is int else limit)

    def compare_counts(self) -> None:
        """Compare counts, percentages and mean costs with the rows."""
        rows, accuracy = self.claim.rows, self.result.accuracy
        n = len(rows)
        correct = [row.prediction == row.label for row in rows]
        base = [row.base_prediction == row.label for row in rows]
        certified = [c and row.certified for c, row in zip(correct, rows, strict=True)]
        counts = {"base": (sum(base), n), "clean": (sum(correct), n)}
        if self.result.defender in _DETECTORS:
            counts |= _detections(rows, correct, "harmful_alerts" in accuracy)
        else:
            round_trip = sum(c and row.round_trip for c, row in zip(correct, rows, strict=True))
            counts |= {"certified": (sum(certified), n), "round_trip": (round_trip, n)}
        if ADVERSARIAL in accuracy:
            counts[ADVERSARIAL] = (sum(c and not b for c, b in zip(certified, base, strict=True)), n - sum(base))
        reported = self.result.config.get("reported") or {}
        for name in {*counts, *accuracy}:
            written = accuracy.get(name)
            pair = None if written is None else (written.count, written.n)
            self.expect(None, f"accuracy.{name}", pair, counts.get(name))
            if written is not None and isinstance(reported, dict):
                self.expect(None, f"accuracy.{name}.reported", written.reported, reported.get(name))
        mutants = fmean(row.mutants_evaluated for row in rows) if rows else 0.0
        self.expect(None, "mutants_per_image", self.result.mutants_per_image, mutants, tolerance=0.00501)
        gflops = [row.gflops for row in rows if row.gflops is not None]
        mean = fmean(gflops) if gflops else None
        self.expect(None, "gflops_per_image", self.result.gflops_per_image, mean, 1e-6 * (1 + (mean or 0.0)))

    def compare_verdicts(self, labels: Labels | None, progress: Callable[[int], object]) -> None:
        """Compare every column of the verdicts, and the location maps."""
        written = {row.id: row for row in self.claim.rows}
        draws = np.random.default_rng(0)
        maps: list[np.ndarray] | None = None
        for shard, ids in self.evidence.by_shard().items():
            wanted = [image_id for image_id in ids if image_id in written]
            tables = self.evidence.rows(shard, wanted) if wanted else []
            for start in range(0, len(tables), _IMAGES):
                part = tables[start : start + _IMAGES]
                rows = [written[table.id] for table in part]
                self._compare_images(rows, part, labels)
                counts = self._compare_rules(rows, part, draws)
                if counts is not None:
                    maps = counts if maps is None else [a + b for a, b in zip(maps, counts, strict=True)]
                self.images += len(part)
                progress(self.images)
        self._compare_maps(maps)

    def _compare_images(self, rows: Sequence[VerdictRow], tables: Sequence[Row], labels: Labels | None) -> None:
        config = self.result.config
        lazily = config.get("output", config.get("evaluate")) not in ("table", "full") or bool(config.get("table"))
        for row, table in zip(rows, tables, strict=True):
            if len(table.labels) < self.columns:
                raise ResultsError(
                    f"{self.evidence.folder} has {len(table.labels)} mutants of image {row.id}, and the defender needs "
                    f"{self.columns}; name the store= of this evaluation with --tables"
                )
            self.expect(row.id, "label", row.label, table.label)
            self.expect(row.id, "path", row.path, table.path)
            self.expect(row.id, "base_prediction", row.base_prediction, int(table.labels[0]))
            if labels is not None:
                known = labels.get(row.id) if isinstance(labels, Mapping) else labels(row.id)
                self.expect(row.id, "label (data set)", row.label, known)
            evaluated = int((table.labels[: self.columns] >= 0).sum())
            # Another evaluation may have added entries to the table of a lazy one.
            if not (lazily and 0 < row.mutants_evaluated <= evaluated):
                self.expect(row.id, "mutants_evaluated", row.mutants_evaluated, evaluated)

    def _compare_rules(
        self, rows: Sequence[VerdictRow], tables: Sequence[Row], draws: np.random.Generator
    ) -> list[np.ndarray] | None:
        labels = np.stack([table.labels[: self.columns] for table in tables]).astype(np.int64)
        margins = np.stack([table.margins[: self.columns] for table in tables]).astype(np.float64)
        log_odds = np.stack([table.log_odds[: self.columns] for table in tables]).astype(np.float64)
        limited = self._limited(labels)
        if self.refined is not None:
            margin = self.settings.get("margin", 0.0)
            labels, margins, log_odds = resolve(
                self.refined, self.mutants["threshold"], margin, labels, margins, log_odds
            )
        missing = labels < 0
        # Where nothing is missing, a certificate must be what the tables give, no less.
        limited &= missing.any(1)
        self.completed += int(missing.any(1).sum())
        counts = None
        for filled in _completions(labels, margins, missing, draws):
            answers = self.rule(*filled, log_odds)
            for number, row in enumerate(rows):
                for name in _COLUMNS:
                    computed = answers[name][number].tolist() if name in answers else None
                    stated = _plain(getattr(row, name))
                    if limited[number] and name in _CERTIFICATES and _claims_less(stated, computed):
                        answers[name][number] = stated
                    # Not every rule from outside the package has steps.
                    elif name in answers or name not in ("case", "witness"):
                        self.expect(row.id, name, stated, computed)
            counts = self._compare_placements(rows, answers)
        return counts

    def _limited(self, labels: np.ndarray) -> np.ndarray:
        """``[image]``: whether ``refine_limit`` ended the queries, so that certificates may be missing."""
        limit = self.result.config.get("refine_limit")
        if self.refined is None or type(limit) is not int:
            return np.zeros(len(labels), dtype=bool)
        further: np.ndarray = ((labels >= 0) & ~self.refined.coarsest).sum(1)
        return further >= limit

    def _compare_placements(
        self, rows: Sequence[VerdictRow], answers: Mapping[str, np.ndarray]
    ) -> list[np.ndarray] | None:
        if "safe_masks" not in answers or not self.placements:
            for row in rows:
                self.expect(row.id, "certified_fraction", row.certified_fraction, None)
            return None
        safe = [placements.safe(answers["safe_masks"]) for placements in self.placements]
        every = sum(placements.size[0] * placements.size[1] for placements in self.placements)
        fractions = np.sum([p.placements(s) for p, s in zip(self.placements, safe, strict=True)], axis=0) / every
        for row, fraction in zip(rows, fractions, strict=True):
            self.expect(row.id, "certified_fraction", row.certified_fraction, float(fraction), tolerance=1e-6)
        correct = np.array([row.prediction == row.label for row in rows])
        return [p.count(s[correct]) for p, s in zip(self.placements, safe, strict=True)]

    def _compare_maps(self, counts: list[np.ndarray] | None) -> None:
        written = self.claim.maps
        if counts is None or written is None:
            if (counts is None) != (written is None):
                stated, expected = ("no file" if part is None else "a file" for part in (written, counts))
                self.expect(None, "locations.npz", stated, expected)
            return
        computed = {f"counts_{shape}": count for shape, count in enumerate(counts)}
        computed |= {"n": np.array(self.images), "image_px": np.array(self.image_px)}
        for name in sorted({*written, *computed}):
            one, other = written.get(name), computed.get(name)
            if one is None or other is None or not np.array_equal(one, other):
                stated, expected = (
                    "nothing" if part is None else f"an array of sum {part.sum()}" for part in (one, other)
                )
                self.differences.append(Difference(None, f"locations.npz: {name}", stated, expected))


def _detections(rows: Sequence[VerdictRow], correct: Sequence[bool], attacked: bool) -> dict[str, tuple[int, int]]:
    """Counts of a detector and their denominators."""
    n, harmful = len(rows), [not good for good in correct]
    alerts = [row.alert is not None and row.alert >= 0 for row in rows]
    certified = [row.detects in (row.label, -2) for row in rows]
    counts = {
        "certified_detection": (sum(a and b for a, b in zip(certified, correct, strict=True)), n),
        "certified_ratio": (sum(certified), n),
        "alerts": (sum(alerts), n),
    }
    if attacked:
        counts["harmful_alerts"] = (sum(a and b for a, b in zip(alerts, harmful, strict=True)), sum(harmful))
    return counts


def _tables_of(claim: Claim) -> Path:
    own = claim.folder / "mutants"
    if own.is_dir():
        return own
    if claim.result.table is None:
        raise ResultsError(f"the result in {claim.folder} names no tables; name them with --tables")
    return Path(claim.result.table)


def _defaults(rule: Rule | None) -> dict[str, Any]:
    parameters = {} if rule is None else inspect.signature(rule).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def _bound(
    rule: Rule, mutants: Mapping[str, Any], settings: Mapping[str, Any], defender: str
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, Any]]:
    """The rule as a function of labels, margins and log-odds of confidences, with settings of checked names and types.

    Raises:
        ResultsError: for settings that the rule doesn't have or doesn't admit.
    """
    defaults = _defaults(rule)
    for name, value in settings.items():
        kinds = (int, float) if type(defaults.get(name)) is float else (type(defaults.get(name)),)
        if name not in defaults or type(value) not in kinds:
            raise ResultsError(f"the result has {name}={value!r} for {defender}, which its second implementation lacks")

    confident = "log_odds" in inspect.signature(rule).parameters

    def decide(labels: np.ndarray, margins: np.ndarray, log_odds: np.ndarray) -> dict[str, Any]:
        try:
            return rule(mutants, labels, margins, *([log_odds] if confident else []), **settings)
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            raise ResultsError(
                f"the settings {dict(settings)} of {defender} don't fit the mutants of its tables ({error})"
            ) from error

    return decide


def _completions(
    labels: np.ndarray, margins: np.ndarray, missing: np.ndarray, draws: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the tables with their missing entries filled in several ways, or as they are if none is missing."""
    if not missing.any():
        yield labels, margins
        return
    other = int(labels.max()) + 1
    infinite = np.where(missing, np.inf, margins)
    # All like the unmasked image, all another label, and labels at random, some of them with a margin of 0.
    yield np.where(missing, labels[:, :1], labels), infinite
    yield np.where(missing, other, labels), infinite
    for _ in range(_DRAWS):
        drawn = np.where(draws.random(missing.shape) < 0.5, np.inf, 0.0)
        yield (
            np.where(missing, draws.integers(other + 1, size=missing.shape), labels),
            np.where(missing, drawn, margins),
        )


def _claims_less(stated: Any, computed: Any) -> bool:
    """Whether a certificate, a number of patches or a list of them claims no more than another one."""
    if isinstance(stated, list) and isinstance(computed, list) and len(stated) == len(computed):
        return all(_claims_less(one, other) for one, other in zip(stated, computed, strict=True))
    return type(stated) is type(computed) and isinstance(stated, int) and stated <= computed


def _plain(value: Any) -> Any:
    """Tuples as lists, so that values of different files can be compared."""
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
