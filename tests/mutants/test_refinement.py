"""Refined labels: the definition entry by entry, margins against other runs, and the order of queries."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from mrcert_pl.errors import ConfigurationError, ResultsError
from mrcert_pl.geometry import PatchSpec, covering_lattice
from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.mutants.confidence import log_odds
from mrcert_pl.mutants.queries import columns_to_query, further_columns
from mrcert_pl.mutants.refinement import refined
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable, rounded_down
from mrcert_pl.verification.refined import RefinedColumns, resolve

THRESHOLD = 0.6
LAMBDA = math.log(THRESHOLD / (1 - THRESHOLD))


def mutants(*strides: int, order: int = 1) -> RefinedUnions:
    grid = {"grid": (6, 6), "window_px": (4, 4), "patch": PatchSpec(5)}
    return RefinedUnions([covering_lattice(**grid, order=order, stride=stride) for stride in strides], THRESHOLD)


def table_of(unions: RefinedUnions, logits: Tensor) -> PredictionTable[RefinedUnions]:
    """The table that an evaluation of these logits ``[image, mutant, class]`` gives."""
    best = logits.topk(2).values
    margins = rounded_down((best[..., 0] - best[..., 1]).float())
    return PredictionTable(unions, logits.argmax(-1), margins, log_odds(logits).float())


def random_logits(unions: RefinedUnions, images: int, classes: int = 3) -> Tensor:
    return 1.5 * torch.randn(images, len(unions), classes)


@pytest.mark.parametrize("strides", [(4, 2), (4, 2, 1)])
def test_labels_are_those_of_the_first_settled_closure(strides: tuple[int, ...]) -> None:
    unions = mutants(*strides, order=2 if len(strides) == 2 else 1)
    table = table_of(unions, random_logits(unions, 5))
    found = refined(table)
    assert table.log_odds is not None
    assert found.log_odds is not None
    used = set()
    for image in range(5):
        for union, path in enumerate(unions.path.tolist()):
            settled = [column for column in path if table.log_odds[image, column].double() >= LAMBDA]
            column = settled[0] if settled else path[-1]
            assert found.labels[image, union] == table.labels[image, column]
            assert found.log_odds[image, union] == table.log_odds[image, column]
            used.add(path.index(column))
    assert used == set(range(len(strides)))


def test_a_missing_level_leaves_an_entry_missing() -> None:
    unions = mutants(4, 2, 1)
    table = table_of(unions, random_logits(unions, 20))
    assert table.log_odds is not None
    whole = refined(table).labels
    keep = torch.rand(table.labels.shape) < 0.7
    partial = refined(
        PredictionTable(
            unions, table.labels.where(keep, NOT_EVALUATED), table.margins, table.log_odds.where(keep, torch.nan)
        )
    )
    for image in range(20):
        for union, path in enumerate(unions.path.tolist()):
            needed = []
            for column in path:
                needed.append(column)
                if table.log_odds[image, column].double() >= LAMBDA:
                    break
            known = bool(keep[image, needed].all())
            assert partial.labels[image, union] == (whole[image, union] if known else NOT_EVALUATED)
    assert partial.margins is not None
    assert partial.log_odds is not None
    assert torch.equal(partial.margins.isnan(), ~partial.evaluated)
    assert torch.equal(partial.log_odds.isnan(), ~partial.evaluated)


def changed_by_rounding(
    unions: RefinedUnions, logits: Tensor, margins: Tensor, delta: float, runs: int
) -> tuple[int, int]:
    """How many labels with a margin above ``2 * delta`` another run changed, and how many of the others."""
    before = refined(table_of(unions, logits)).labels
    promised = margins > 2 * delta
    wrong = others = 0
    for run in range(runs):
        corner = torch.randint(0, 2, logits.shape) * 2.0 - 1 if run % 2 else 2 * torch.rand(logits.shape) - 1
        after = refined(table_of(unions, logits + delta * corner)).labels
        wrong += int((promised & (after != before)).sum())
        others += int((~promised & (after != before)).sum())
    return wrong, others


@pytest.mark.parametrize("strides", [(4, 2), (4, 2, 1)])
def test_no_other_run_changes_a_label_with_a_margin(strides: tuple[int, ...]) -> None:
    """Theorem 25 (a), on random corners and points of the other runs' logits."""
    unions = mutants(*strides)
    logits = random_logits(unions, 40)
    margins = refined(table_of(unions, logits)).margins
    assert margins is not None
    wrong, others = changed_by_rounding(unions, logits, margins, 0.2, 40)
    assert wrong == 0
    assert others > 100


def test_the_margin_of_the_chosen_mutant_is_not_enough() -> None:
    """The case that rules out the simple rule: an unsure closure, just below the threshold, with another label."""
    unions = mutants(4, 2)
    logits = torch.full((1, len(unions), 3), -20.0)
    logits[..., 0] = 5.0
    union = int((unions.path[:, 0] != unions.path[:, 1]).nonzero()[0])
    above, below = unions.path[union].tolist()
    logits[0, above] = torch.tensor([LAMBDA - 0.01, 0.0, -30.0])
    logits[0, below] = torch.tensor([-20.0, 5.0, -20.0])
    table = table_of(unions, logits)
    margins = refined(table).margins
    assert margins is not None
    assert refined(table).labels[0, union] == 1
    assert float(table.margins[0, below]) > 20  # type: ignore[index]
    assert margins[0, union] < 0.02
    assert changed_by_rounding(unions, logits, margins, 0.03, 20)[0] == 0
    simple = table.margins[:, unions.path[:, 1]]  # type: ignore[index]
    assert changed_by_rounding(unions, logits, simple, 0.03, 20)[0] > 0


def both_implementations(
    unions: RefinedUnions, table: PredictionTable[RefinedUnions], margin: float = 0.0
) -> list[np.ndarray]:
    """Margins of both implementations."""
    assert table.margins is not None
    assert table.log_odds is not None
    columns = RefinedColumns([level.masks for level in unions.levels], unions.order)
    arrays = (part.double().numpy() for part in (table.margins, table.log_odds))
    first = refined(table, margin).margins
    assert first is not None
    return [first.double().numpy(), resolve(columns, unions.threshold, margin, table.labels.numpy(), *arrays)[1]]


@pytest.mark.parametrize("implementation", [0, 1])
@pytest.mark.parametrize("threshold", [0.5, 0.6, 1 - 1e-9])
def test_margins_are_rounded_down_once(threshold: float, implementation: int) -> None:
    """An unsettled closure whose distance to the threshold is at or near a number of half precision (Theorem 25)."""
    unions = mutants(4, 2).with_threshold(threshold)
    limit = math.log(threshold / (1 - threshold))
    near = torch.tensor([limit - 0.5, limit - 0.25]).float()
    steps = (torch.arange(-12, 13)[:, None] * 2.0**-24 * near.abs().log2().ceil().exp2() + near).flatten()
    images = len(steps)
    odds = steps[:, None].repeat(1, len(unions))
    labels = torch.where(unions.coarsest, 1, 2).repeat(images, 1)
    table = PredictionTable(unions, labels, torch.full(odds.shape, 3.0), odds)
    margins = both_implementations(unions, table)[implementation]
    settled = Fraction(limit)
    for image in range(images):
        value = Fraction(float(odds[image, 0]))
        exact = settled - value - (abs(value) + abs(settled)) / 2**22
        for union, (above, own) in enumerate(unions.path.tolist()):
            if above != own and not unions.coarsest[own]:
                assert Fraction(margins[image, union]) <= exact


def test_a_label_without_a_confidence_is_refused() -> None:
    """No comparison with NaN holds: the closure would pass for unsettled."""
    unions = mutants(4, 2)
    table = table_of(unions, random_logits(unions, 2))
    assert table.log_odds is not None
    table.log_odds[1, 3] = torch.nan
    columns = RefinedColumns([level.masks for level in unions.levels], unions.order)
    with pytest.raises(ConfigurationError, match="refine= needs confidences, and 1 labels of the table have none"):
        refined(table)
    with pytest.raises(ConfigurationError, match=f"{2 * len(unions)} labels of the table have none"):
        refined(PredictionTable(unions, table.labels, table.margins))
    arrays = (part.double().numpy() for part in (table.margins, table.log_odds) if part is not None)
    with pytest.raises(ResultsError, match="1 labels of the tables have no confidences"):
        resolve(columns, THRESHOLD, 0.0, table.labels.numpy(), *arrays)
    table.labels[1, 3] = NOT_EVALUATED
    refined(table)


@pytest.mark.parametrize("strides", [(4, 2), (4, 2, 1)])
def test_margins_shrink_by_no_more_than_those_of_mutants(strides: tuple[int, ...]) -> None:
    """Theorem 25 (b) and (c): what is above twice the margin in one run is above it in the next."""
    unions, margin, delta = mutants(*strides), 0.4, 0.2
    logits = random_logits(unions, 60)
    before = refined(table_of(unions, logits), margin)
    assert before.margins is not None
    strong = before.margins > 2 * margin
    assert strong.any()
    for _ in range(20):
        other = table_of(unions, logits + delta * (torch.randint(0, 2, logits.shape) * 2.0 - 1))
        # Only what the second run queries is known to it.
        known = PredictionTable.empty(unions, 60)
        while (queries := columns_to_query(known, ~refined(known, margin).evaluated)).any():
            known = PredictionTable(
                unions,
                torch.where(queries, other.labels, known.labels.long()),
                torch.where(queries, other.margins, known.margins),  # type: ignore[arg-type]
                torch.where(queries, other.log_odds, known.log_odds),  # type: ignore[arg-type]
            )
        after = refined(known, margin)
        assert after.margins is not None
        assert (after.labels == before.labels)[strong].all()
        # Half precision rounds both down by at most a thousandth.
        assert (after.margins[strong] > margin * 0.999).all()


def answer(known: PredictionTable[RefinedUnions], queries: Tensor, truth: PredictionTable[RefinedUnions]) -> None:
    for mine, theirs in zip(
        (known.labels, known.margins, known.log_odds), (truth.labels, truth.margins, truth.log_odds), strict=True
    ):
        assert mine is not None
        assert theirs is not None
        mine[queries] = theirs.to(mine.dtype)[queries]


def test_queries_start_with_the_coarsest_level_and_end_with_all_labels() -> None:
    unions = mutants(4, 2, 1)
    truth = table_of(unions, random_logits(unions, 3))
    known = PredictionTable.empty(unions, 3)
    rounds = []
    while (queries := columns_to_query(known, ~refined(known).evaluated)).any():
        assert not (queries & known.evaluated).any()
        rounds.append(queries)
        answer(known, queries, truth)
    assert torch.equal(rounds[0], unions.coarsest.expand(3, -1))
    assert torch.equal(refined(known).labels.long(), refined(truth).labels)
    # Only where the closure is not settled was anything below it looked at.
    assert truth.log_odds is not None
    asked = torch.stack(rounds).any(0) & ~unions.coarsest
    assert asked.any()
    assert not (asked & (truth.log_odds[:, unions.parent.clamp(min=0)].double() >= LAMBDA)).any()
    assert torch.equal(further_columns(known), asked.sum(1))


def test_dissent_comes_first_and_what_hides_most() -> None:
    unions = mutants(2, 1, order=2)
    truth = table_of(unions, 0.2 * random_logits(unions, 4))
    known = PredictionTable.empty(unions, 4)
    answer(known, columns_to_query(known, ~refined(known).evaluated), truth)
    missing = ~refined(known).evaluated
    queries = columns_to_query(known, missing)
    dissent = known.labels[:, unions.parent.clamp(min=0)] != known.labels[:, :1]
    for image in range(4):
        candidates = torch.zeros(len(unions), dtype=torch.bool)
        candidates[unions.path[missing[image], -1]] = True
        first = candidates & dissent[image]
        assert first.sum() > queries[image].sum() == 32
        assert (queries[image] & ~first).sum() == 0
        assert unions.visible[queries[image]].max() <= unions.visible[first & ~queries[image]].min()
