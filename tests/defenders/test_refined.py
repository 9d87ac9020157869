"""Defenders on refined unions: every move of an attacker, lazy against full, the limit, and settings that don't fit."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor

from mrcert_pl.defenders import (
    AblationVote,
    Defender,
    MRCert,
    MRCertCascade,
    OutputLevel,
    PatchCensor,
    PatchCURE,
    Undefended,
    Verdicts,
)
from mrcert_pl.defenders.refined import Refined, lattice_of
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import (
    Ablations,
    PatchedAblations,
    PatchSpec,
    UnionLattice,
    covering_lattice,
    covering_masks,
)
from mrcert_pl.geometry.refined import RefinedUnions
from mrcert_pl.mutants.queries import further_columns
from mrcert_pl.mutants.refinement import refined
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

# Single windows inside pairs of neighbours, by the order of the unions; one window is never hidden.
GRIDS = {
    2: ((0b0001, 0b0010, 0b0100, 0b1000), (0b0011, 0b1100), 5),
    4: ((0b001, 0b010, 0b100), (0b011, 0b110), 4),
}
SURE, UNSURE = 10.0, -10.0
DEFENDERS: dict[str, Callable[[], Defender]] = {
    "double masking": PatchCURE,
    "majority": lambda: PatchCURE("majority"),
    "MRCert for one patch": lambda: MRCert(1),
    "MRCert": MRCert,
    "sharp": lambda: MRCert(2, "sharp"),
    "cascade": MRCertCascade,
}


class Game:
    """Every table of raw labels of two classes, and of sure and unsure coarse entries.

    Attributes:
        unions: the refined unions.
        table: all raw tables, one after the other.
    """

    def __init__(self, order: int) -> None:
        fine_masks, coarse_masks, windows = GRIDS[order]
        coarse, fine = (UnionLattice(masks, windows, order) for masks in (coarse_masks, fine_masks))
        self.unions = RefinedUnions([coarse, fine], 0.5)
        columns = len(self.unions)
        coarsest = self.unions.coarsest.nonzero()[:, 0]
        bits = columns + len(coarsest)
        digits = torch.arange(2**bits)[:, None] >> torch.arange(bits) & 1
        log_odds = torch.full((len(digits), columns), SURE)
        log_odds[:, coarsest] = torch.where(digits[:, columns:].bool(), SURE, UNSURE)
        labels = digits[:, :columns].int()
        self.table = PredictionTable(self.unions, labels, torch.ones_like(log_odds), log_odds)

    def kept(self, place: int) -> Tensor:
        """Raw columns that a patch inside ``place`` can't change."""
        windows = torch.tensor([bool(place >> window & 1) for window in range(self.unions.windows)])
        return (self.unions.hidden | ~windows).all(1)

    def changed(self, verdict: Tensor, place: int) -> Tensor:
        """Whether a patched version, any table with the same kept entries, has another verdict."""
        kept = self.kept(place)
        assert self.table.log_odds is not None
        seen = torch.cat(
            [self.table.labels[:, kept] > 0, self.table.log_odds[:, kept & self.unions.coarsest] > 0], dim=1
        )
        group = (seen.long() << torch.arange(seen.shape[1])).sum(1)
        size = int(group.max()) + 1
        least = torch.full((size,), 1 << 30).scatter_reduce(0, group, verdict.long(), "amin")
        most = torch.full((size,), -1).scatter_reduce(0, group, verdict.long(), "amax")
        return (least < most)[group]

    def broken(self, verdicts: Verdicts) -> Tensor:
        """Verdicts that some patch proves wrong: certificates and round trips."""
        found = torch.zeros(len(verdicts), dtype=torch.bool)
        assert verdicts.certified is not None
        assert verdicts.round_trip is not None
        for place in self.unions.masks:
            relabelled = self.changed(verdicts.label, place)
            uncertified = ~verdicts.certified | self.changed(verdicts.certified, place)
            found |= (verdicts.certified & relabelled) | (verdicts.round_trip & (relabelled | uncertified))
        return found


@lru_cache
def game_of(order: int) -> Game:
    return Game(order)


def in_chunks(defender: Defender, table: PredictionTable) -> Verdicts:
    rows = torch.arange(len(table.labels)).split(1 << 16)
    return Verdicts.cat([defender.decide(table.rows(part)) for part in rows])


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("name", DEFENDERS)
def test_no_patch_breaks_a_guarantee(name: str) -> None:
    """Theorem 24, against the attacker of the base model's labels and confidences."""
    inner = DEFENDERS[name]()
    game = game_of(inner.order)  # type: ignore[attr-defined]
    verdicts = in_chunks(Refined(inner, (2,)), game.table)
    assert verdicts.certified is not None
    assert verdicts.round_trip is not None
    assert not game.broken(verdicts).any()
    assert verdicts.certified.any()
    assert game.changed(verdicts.label, game.unions.masks[0]).any()
    assert bool(verdicts.round_trip.any()) == (inner.round_trip_note is None)
    # Unsure closures are looked into: certificates come and go by their confidence alone.
    constant = (game.table.labels == game.table.labels[:, :1]).all(1)
    assert verdicts.certified[constant].all()
    assert (verdicts.certified & ~constant).any()


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize("mistake", ["a closure that does not cover", "the confidence of the whole image"])
def test_planted_mistakes_are_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game = Game(2)
    if mistake == "a closure that does not cover":
        masks = {union: column for column, union in enumerate(game.unions.finest.unions)}
        # {1, 2} is not inside {0, 1}.
        game.unions.path[masks[0b0110], 0] = game.unions.path[masks[0b0011], 0]
    else:
        assert game.table.log_odds is not None
        unmasked = game.table.log_odds[:, :1].expand(-1, len(game.unions)).clone()
        table = PredictionTable(game.unions, game.table.labels, game.table.margins, unmasked)
        verdicts = in_chunks(Refined(PatchCURE(), (2,)), table)
        assert game.broken(verdicts).any()
        return
    assert game.broken(in_chunks(Refined(PatchCURE(), (2,)), game.table)).any()


PATCH = PatchSpec((4, 5))


class Tokens:
    """The geometry of 24 columns."""

    windows = 24
    image_px = (4, 96)

    def covering_masks(self, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> tuple[int, ...]:
        return covering_masks((1, 24), (4, 4), patch, stride)

    def advice(self, patch: PatchSpec, order: int, stride: int | tuple[int, int]) -> str:
        return "take smaller windows"


def random_table(unions: RefinedUnions, images: int, dissent: float) -> PredictionTable[RefinedUnions]:
    """Labels of which a few dissent, nearly all with a margin, and closures of which many are not settled."""
    share = dissent * torch.rand(images, 1)
    labels = (torch.rand(images, len(unions)) < share).int()
    margins = torch.where(torch.rand(labels.shape) < share, 0.1, 3.0)
    return PredictionTable(unions, labels, margins, 2 + 3 * torch.randn(labels.shape))


def evaluated(defender: Refined, truth: PredictionTable[RefinedUnions]) -> PredictionTable[RefinedUnions]:
    known = PredictionTable.empty(truth.mutants, len(truth.labels))
    while (queries := defender.next_queries(known)).any():
        for mine, theirs in zip(
            (known.labels, known.margins, known.log_odds), (truth.labels, truth.margins, truth.log_odds), strict=True
        ):
            assert mine is not None
            assert theirs is not None
            mine[queries] = theirs[queries]
    return known


@pytest.mark.parametrize("name", ["double masking", "sharp", "cascade"])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_lazy_evaluation_gives_the_verdicts_of_the_full_table(name: str, margin: float) -> None:
    inner = {"double masking": PatchCURE, "sharp": MRCert, "cascade": MRCertCascade}[name](margin=margin)
    defender = Refined(inner, (4,), 0.6)
    unions = defender.mutants(Tokens(), PATCH, 2)
    truth = random_table(unions, 40, 0.05)
    full = defender.with_output("table").decide(evaluated(defender.with_output("table"), truth))
    lazy = defender.with_output("map")
    known = evaluated(lazy, truth)
    found = lazy.decide(known)
    for field in ("label", "certified", "round_trip", "case", "witness", "level", "certified_patches"):
        assert torch.equal(getattr(found, field), getattr(full, field)), field
    assert known.evaluated.sum() < truth.evaluated.sum() * 0.9
    assert 0 < int(full.certified.sum()) < 40  # type: ignore[union-attr]


def test_the_limit_costs_certificates_never_labels() -> None:
    inner = MRCertCascade()
    unions = Refined(inner, (4,), 0.9).mutants(Tokens(), PATCH, 2)
    truth = random_table(unions, 40, 0.05)
    free, limited = (Refined(inner, (4,), 0.9, limit).with_output("map") for limit in (None, 40))
    tables = [evaluated(defender, truth) for defender in (free, limited)]
    one, other = (defender.decide(table) for defender, table in zip((free, limited), tables, strict=True))
    for field in ("label", "case", "witness", "level"):
        assert torch.equal(getattr(one, field), getattr(other, field))
    assert one.certified is not None
    assert other.certified is not None
    assert not (other.certified & ~one.certified).any()
    assert tables[1].evaluated.sum() < tables[0].evaluated.sum()
    # Exactly where the free defender would query on.
    open_ = free.next_queries(tables[1]).any(1)
    assert one.limit_reached is None
    assert other.limit_reached is not None
    assert 0 < int(open_.sum()) < len(open_)
    assert torch.equal(other.limit_reached, open_)
    labels = evaluated(free.with_output(OutputLevel.LABEL), truth)
    # Where the label alone needs more than the limit, nothing is left for certificates.
    spent = further_columns(labels) >= 40
    assert torch.equal(tables[1].evaluated[spent], labels.evaluated[spent])


def test_it_looks_like_its_defender() -> None:
    inner = MRCertCascade(margin=0.3)
    inner.settings = {"patches": 2, "margin": 0.3}
    defender = Refined(inner, (4, 6, 4), 0.5, 100)
    assert (defender.name, defender.margin, defender.coarser) == ("mrcert_cascade", 0.3, (6, 4))
    assert defender.settings == inner.settings
    assert defender.with_output("label").output == OutputLevel.LABEL
    assert defender.output == OutputLevel.TABLE
    assert Refined(PatchCURE(), (4,)).round_trip_note == PatchCURE.round_trip_note


def test_the_unions_that_defenders_decide_on() -> None:
    defender = Refined(PatchCURE(), (2,))
    unions = defender.mutants(Tokens(), PATCH, 1)
    assert lattice_of(unions) is unions.finest
    plain = covering_lattice((1, 24), (4, 4), PATCH, 1)
    assert lattice_of(plain) is plain
    assert lattice_of(object()) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Refined(AblationVote(), (4,)), "recover a label with masks, and vot"),
        (lambda: Refined(PatchCensor(), (4,)), "recover a label with masks, and patchcensor"),
        (lambda: Refined(PatchCURE(), ()), "at least one set of larger masks"),
        (lambda: Refined(PatchCURE(), (0,)), "whole numbers of at least 1, got 0"),
        pytest.param(
            lambda: Refined(PatchCURE(), ([4],)),  # type: ignore[list-item]
            "whole numbers of at least 1",
            marks=pytest.mark.unchecked_shapes,
        ),
        (lambda: Refined(PatchCURE(), (4,), limit=0), "whole numbers of at least 1, got 0"),
        (lambda: Refined(PatchCURE(), (4,), 1.0).mutants(Tokens(), PATCH, 2), "between 0 and 1"),
        (lambda: Refined(PatchCURE(), (2,)).mutants(Tokens(), PATCH, 2), "needs strides above stride=2"),
        (lambda: Refined(PatchCURE(), (2,)).mutants(Tokens(), PATCH, (1, 1)), "needs strides above stride="),
        (
            lambda: Refined(PatchCURE(), (3,)).mutants(Tokens(), PATCH, 2),
            "do not nest .* they do in those of: 4",
        ),
    ],
)
def test_settings_that_do_not_fit(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize(
    ("defender", "mutants", "message"),
    [
        (
            MRCert(1),
            RefinedUnions([UnionLattice((3, 6), 3, 2, True), UnionLattice((1, 2, 4), 3, 2, True)], 0.5),
            r"MRCert decides on unions of covering masks; the table has RefinedUnions\(",
        ),
        (
            PatchCURE(),
            PatchedAblations(Ablations((8, 8), 2, 2), PatchSpec(2)),
            r"PatchCURE decides on .*; the table has PatchedAblations\(4 column votes of 2 px, stride 2 px\)",
        ),
        (AblationVote(), UnionLattice((1, 2), 3, 1), r"AblationVote needs votes .*, not a UnionLattice\(2 masks"),
        (Refined(PatchCURE(), (4,)), UnionLattice((1, 2), 3, 2), r"refine=\[4\] decides on .*; the table has UnionLat"),
        (
            Refined(PatchCURE(), (4,), 0.8),
            Game(2).unions,
            r"of 2 levels with the threshold 0.8; the table has .* threshold 0.5\)",
        ),
        (Refined(PatchCURE(), (8, 4)), Game(2).unions, r"refined unions of 3 levels .*; the table has RefinedUnions\("),
    ],
)
def test_tables_of_other_mutants_are_refused(defender: Defender, mutants: Any, message: str) -> None:
    table = PredictionTable.empty(mutants, 1)
    table.labels[:], table.margins[:], table.log_odds[:] = 0, 1.0, 1.0
    for use in (defender.next_queries, defender.decide):
        with pytest.raises(ConfigurationError, match=message):
            use(table)


def test_a_base_model_alone_may_be_refined() -> None:
    defender = Refined(Undefended(), (2,))
    assert len(defender.mutants(Tokens(), PATCH, 1)) == 1


def test_the_number_of_levels_is_bounded() -> None:
    assert len(Refined(PatchCURE(), range(2, 10)).coarser) == 8
    with pytest.raises(ConfigurationError, match="at most 8 sets of larger masks, got 9"):
        Refined(PatchCURE(), range(2, 11))


def test_the_smallest_limit_and_stride() -> None:
    assert (Refined(PatchCURE(), (1,), limit=1).coarser, Refined(PatchCURE(), (1,), limit=1).limit) == ((1,), 1)


def test_the_margin_of_the_defender_is_that_of_the_labels() -> None:
    defender = Refined(PatchCURE(margin=0.7), (4,), 0.6)
    table = random_table(defender.mutants(Tokens(), PATCH, 2), 40, 0.05)
    # Closures that are settled by less than the margin leave their unions open.
    table.labels[:, ~table.mutants.coarsest] = NOT_EVALUATED
    labels = [defender.decided_on(table).labels, refined(table, 0.7).labels, refined(table, 0.0).labels]
    assert torch.equal(labels[0], labels[1])
    assert not torch.equal(labels[0], labels[2])
