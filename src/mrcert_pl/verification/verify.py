"""Recompute everything that an evaluation claims from its tables, with the rules in NumPy."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mrcert_pl.defenders.registry import names, rule_of
from mrcert_pl.errors import ResultsError
from mrcert_pl.results.schema import VerificationReport
from mrcert_pl.verification.claims import Claim, Evidence
from mrcert_pl.verification.differences import Differences
from mrcert_pl.verification.evaluation import Evaluation, tables_of
from mrcert_pl.verification.facts import compare_counts, compare_defender, compare_mutants, compare_subject
from mrcert_pl.verification.rows import Labels, RowComparison, compare_ids

FREE = ("checkpoint", "command", "config", "delta", "environment", "seconds", "table", "gflops")
"""Fields that don't follow from tables: paths, times, texts for the reader, and the operations of the model.

Of ``config`` and ``environment`` the entries that repeat another claim are compared with it.
"""


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
    defender = _defender_of(claim)
    if defender not in names() or (rule := rule_of(defender)) is None:
        reason = f"{defender} has no second implementation here; --import MODULE names a module that registers one"
        return VerificationReport(str(claim.folder), defender, 0, skipped=reason)
    evaluation = Evaluation(claim, Evidence.read(tables or tables_of(claim)), rule)
    found = Differences()
    compare_subject(evaluation, found)
    compare_defender(evaluation, found)
    compare_mutants(evaluation, found)
    compare_ids(evaluation, labels, found)
    compare_counts(evaluation, found)
    rows = RowComparison(evaluation, labels, found)
    rows.run(progress)
    return VerificationReport(str(claim.folder), defender, rows.images, rows.completed, tuple(found))


def _defender_of(claim: Claim) -> str:
    """Name of the defender, which result, settings and configuration must agree on."""
    name = claim.result.defender
    for place in (claim.result.defender_settings, claim.result.config.get("defender")):
        stated = place.get("name", name) if isinstance(place, Mapping) else name
        if str(stated).rpartition(":")[2] != name:
            raise ResultsError(f"the result in {claim.folder} is of {name}, and its settings of {stated}")
    return name
