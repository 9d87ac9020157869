"""Lazy evaluation: the verdicts of the full table from a part of it, whatever the rest may be (Theorem 20)."""

import pytest
import torch
from reference.defender_tables import DEGENERATE, GRIDS, lattice_of, planted_labels, table_of
from reference.lazy_tables import FIELDS, GIVEN, WANTS, assert_verdicts_of_the_full_table, filled_as_asked
from reference.patch_game import PatchGame, small_lattice
from torch import Tensor

from mrcert_pl.defenders import Defender, MRCert, MRCertCascade, OutputLevel, PatchCURE, Undefended, Verdicts, masking
from mrcert_pl.defenders.lazy import differ
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.mutants.table import NOT_EVALUATED, PredictionTable

pytestmark = pytest.mark.unchecked_shapes


def family(patches: int, margin: float = 0.0) -> dict[str, Defender]:
    return {
        "paper": MRCert(patches, "paper", margin),
        "sharp": MRCert(patches, "sharp", margin),
        "cascade": MRCertCascade(patches, margin),
    }


ONE_PATCH = {"original": PatchCURE(), "majority": PatchCURE("majority"), "undefended": Undefended()}
# Three patches are for few masks only.
CASES = [
    (grid, patches, name)
    for grid, (masks, _) in (GRIDS | DEGENERATE).items()
    for patches in (1, 2, 3)
    if patches < 3 or len(masks) <= 5
    for name in family(patches) | (ONE_PATCH if patches == 1 else {})
]


def mixed_labels(lattice: UnionLattice, images: int, seed: int) -> Tensor:
    """Planted witnesses and, in another part, labels that go by the number of masks: witnesses on some levels alone."""
    draw = torch.Generator().manual_seed(seed)
    layers = torch.randint(2, (images, lattice.order + 1), generator=draw)[:, lattice.orders]
    layers.scatter_(1, torch.randint(len(lattice), (images, 2), generator=draw), 1)
    return torch.cat([planted_labels(lattice, 3 * images, 3, seed), layers])


def random_margins(labels: Tensor, seed: int) -> Tensor:
    """Margins of 0.1, 0.7 and 1.5, few of them small."""
    draw = torch.rand(labels.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(draw < 0.004, 0.1, torch.where(draw < 0.01, 0.7, 1.5))


@pytest.mark.parametrize(("grid", "patches", "name"), CASES)
def test_verdicts_are_those_of_the_full_table(grid: str, patches: int, name: str) -> None:
    lattice = lattice_of(grid, 2 * patches)
    labels = mixed_labels(lattice, 25, seed=patches)
    assert_verdicts_of_the_full_table((family(patches) | ONE_PATCH)[name], PredictionTable(lattice, labels))


@pytest.mark.parametrize("name", family(1))
@pytest.mark.parametrize(("grid", "patches"), [("6 columns, masks of 2", 2), ("3x3 windows, masks of 2x2", 3)])
def test_margins(grid: str, patches: int, name: str) -> None:
    lattice = lattice_of(grid, 2 * patches)
    labels = mixed_labels(lattice, 60, seed=7)
    table = PredictionTable(lattice, labels, random_margins(labels, seed=1))
    defender = family(patches, margin=0.5)[name]
    assert_verdicts_of_the_full_table(defender, table)
    plain, verdicts = family(patches)[name].decide(table), defender.decide(table)
    assert 0 < verdicts.certified.sum() < plain.certified.sum()


@pytest.mark.parametrize("patch_px", [16, 32])
@pytest.mark.parametrize("name", family(2))
def test_fourteen_columns(patch_px: int, name: str) -> None:
    """Real sizes: every further field costs something, and all together less than the table."""
    lattice = covering_lattice((1, 14), (224, 16), PatchSpec(patch_px), 4)
    table = PredictionTable(lattice, mixed_labels(lattice, 5, seed=0))
    shares = assert_verdicts_of_the_full_table(family(2)[name], table)
    costs = [lattice.size(2) / len(lattice), *(shares[want] for want in WANTS), 0.9]
    assert costs == sorted(costs)


# For each number of patches: grids, and labels, on which all tables and all completions can be enumerated.
ENUMERATED = [
    ("3 single windows", 1, 3),
    ("4 windows, masks of 2", 1, 3),
    ("3 windows, masks of 2", 2, 3),
    ("3 single windows", 2, 3),
    ("4 single windows", 1, 2),
    ("4 windows, one mask inside another", 2, 2),
    ("5 windows, masks of 2", 2, 2),
    ("4 windows, one mask inside another", 3, 2),
]


def as_number(digits: Tensor, base: int) -> Tensor:
    """One number for each row of digits from -1."""
    return ((digits.long() + 1) * base ** torch.arange(digits.shape[1])).sum(1)


def unsettled(game: PatchGame, verdicts: Verdicts, known: Tensor, want: str) -> bool:
    """Whether some table has another verdict than one with the same ``known`` ``[table, mutant]`` entries."""
    fields = [value for field in FIELDS[: GIVEN[want]] if (value := getattr(verdicts, field)) is not None]
    number = as_number(torch.cat([field.view(len(known), -1) for field in fields], dim=1), 32)
    pattern = as_number(known, 3)
    return any(
        bool((game.changed(number, known[pattern == one][0]) & (pattern == one)).any()) for one in pattern.unique()
    )


@pytest.mark.parametrize("want", WANTS)
@pytest.mark.parametrize(("grid", "patches", "classes"), ENUMERATED)
def test_no_completion_has_another_verdict(grid: str, patches: int, classes: int, want: str) -> None:
    """Every table; what is known of it in the end; every table that agrees with it there."""
    lattice = small_lattice(grid, 2 * patches)
    game = PatchGame(lattice, classes)
    for name, defender in (family(patches) | (ONE_PATCH if patches == 1 else {})).items():
        known = filled_as_asked(defender.with_output(want), game.table)[0].evaluated  # type: ignore[arg-type]
        assert not unsettled(game, defender.decide(game.table), known, want), name
        if want == "label":
            assert known.all() == (lattice.size(defender.initial_order) == len(lattice))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", family(2))
def test_the_enumeration_finds_a_defender_that_stops_too_early(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game = PatchGame(small_lattice("4 windows, one mask inside another", 4), 2)
    defender = family(2)[name]
    for want in WANTS[:3]:
        monkeypatch.setattr(masking, "differ", lambda *given, last=want: differ(*given) & (given[2].value != last))
        known = filled_as_asked(defender.with_output(want), game.table)[0].evaluated  # type: ignore[arg-type]
        assert unsettled(game, defender.decide(game.table), known, want)


@pytest.mark.parametrize("small", [0.1, 0.7])
@pytest.mark.parametrize(("patches", "name"), [(n, name) for n in (1, 2) for name in family(n)])
def test_no_completion_with_other_margins_has_another_verdict(patches: int, name: str, small: float) -> None:
    """Four kinds of entries: two labels, each with a small or a large margin."""
    game = PatchGame(small_lattice("3 single windows", 2 * patches), 4)
    kinds = game.table.labels
    table = PredictionTable(game.lattice, kinds % 2, torch.where(kinds < 2, small, 1.5))
    defender = family(patches, margin=0.5)[name]
    for want in WANTS if patches == 1 else ("map",):
        known = filled_as_asked(defender.with_output(want), table)[0].evaluated  # type: ignore[arg-type]
        assert not unsettled(game, defender.decide(table), known, want)


class TestWhatIsAsked:
    """Six columns, masks of two neighbours, two patches."""

    lattice = lattice_of("6 columns, masks of 2", 4)
    c01, c12, c23, c34, c45 = lattice.masks

    def known(self, want: str, label: dict[int, int]) -> PredictionTable:
        """What is known in the end of a table with the label 1 but for some unions."""
        full = table_of(self.lattice, lambda union: label.get(union, 1))
        return filled_as_asked(MRCert(certificate="sharp").with_output(want), full)[0]  # type: ignore[arg-type]

    def test_the_first_case_takes_two_masks_and_no_more(self) -> None:
        assert torch.equal(self.known("label", {}).evaluated[0], self.lattice.orders <= 2)

    def test_the_second_case_looks_around_masks_that_are_still_candidates(self) -> None:
        """The unmasked image and all but those that hide c2 and c3 have another label."""
        earlier = {union: 0 for union in self.lattice.unions if union & self.c23 != self.c23}
        known = self.known("label", earlier)
        asked = [u for u, there in zip(self.lattice.unions, known.evaluated[0].tolist(), strict=True) if there]
        beyond = set(asked) - set(self.lattice.unions[: self.lattice.size(2)])
        assert all(union & self.c23 == self.c23 for union in beyond)

    def test_a_certificate_that_is_lost_is_not_looked_at_further(self) -> None:
        heavy = {union: 0 for union in self.lattice.unions if self.lattice.visible[self.lattice.index(union)] <= 1}
        assert self.known("round_trip", heavy).evaluated.sum() < self.known("round_trip", {}).evaluated.sum()

    def test_the_heaviest_come_first(self) -> None:
        lattice = covering_lattice((1, 14), (224, 16), PatchSpec(32), 4)
        table = PredictionTable.empty(lattice, 1)
        table.labels[:, : lattice.size(2)] = 3
        wanted = MRCert().with_output("round_trip").next_queries(table)[0]
        unknown = lattice.visible[lattice.size(2) : lattice.size(3)]
        assert wanted.sum() == -(-len(lattice) // 16)
        assert (lattice.orders[wanted] == 3).all()
        assert lattice.visible[wanted].max() <= unknown.sort().values[wanted.sum()]

    def test_rounds_grow(self) -> None:
        lattice = covering_lattice((1, 14), (224, 16), PatchSpec(16), 4)
        _, rounds = filled_as_asked(MRCert().with_output("round_trip"), table_of(lattice, lambda union: 1))
        assert rounds <= 8


class TestTables:
    lattice = lattice_of("6 columns, masks of 2", 4)
    full = PredictionTable(lattice, planted_labels(lattice, 100, 3, seed=0))

    @pytest.mark.parametrize("name", family(2))
    def test_what_is_known_already_is_used(self, name: str) -> None:
        """Whatever it is: the verdict is the same, and nothing is asked again."""
        defender = family(2)[name].with_output("map")
        gaps = torch.rand(self.full.labels.shape, generator=torch.Generator().manual_seed(0)) < 0.5
        table = PredictionTable(self.lattice, self.full.labels.where(~gaps, NOT_EVALUATED))
        while (wanted := defender.next_queries(table)).any():
            assert not (wanted & table.evaluated).any()
            table.labels[wanted] = self.full.labels[wanted]
        expected, verdicts = family(2)[name].decide(self.full), defender.decide(table)
        for field in FIELDS:
            value = getattr(expected, field)
            assert value is None or torch.equal(getattr(verdicts, field), value)
        assert not table.evaluated.all()

    @pytest.mark.parametrize("name", family(2))
    def test_unknown_labels_never_agree(self, name: str) -> None:
        """Not even with each other: nothing is certified by what nobody has looked at."""
        defender = family(2)[name]
        table = PredictionTable(self.lattice, torch.full((1, len(self.lattice)), NOT_EVALUATED))
        table.labels[:, : self.lattice.size(2)] = 1
        pessimistic = defender.decide_part(table, OutputLevel.TABLE)  # type: ignore[attr-defined]
        assert pessimistic.witness.tolist() == [0]
        assert not pessimistic.certified.any()
        assert not pessimistic.round_trip.any()

    def test_rows_are_independent(self) -> None:
        defender = MRCertCascade().with_output("round_trip")
        together, _ = filled_as_asked(defender, self.full)
        alone = [filled_as_asked(defender, self.full.rows(torch.tensor([i])))[0].labels[0] for i in range(20)]
        assert torch.equal(together.labels[:20], torch.stack(alone))

    def test_no_images(self) -> None:
        empty = PredictionTable.empty(self.lattice, 0)
        for defender in family(2).values():
            assert defender.with_output("map").next_queries(empty).shape == (0, len(self.lattice))
            assert len(defender.with_output("map").decide(empty)) == 0


# Entries and query rounds of 20 tables by output level: what a choice of queries costs. Another order of queries
# changes these numbers and no verdict; it should lower them.
COSTS = {
    "paper": [(2004, 6), (3299, 7), (3404, 7), (3477, 7)],
    "sharp": [(2004, 6), (3427, 7), (3532, 7), (4176, 7)],
    "cascade": [(2004, 6), (3222, 7), (3360, 7), (4216, 7)],
    "original": [(413, 6), (707, 6), (707, 6), (707, 6)],
    "majority": [(320, 5), (704, 6), (704, 6), (704, 6)],
    "undefended": [(20, 1), (20, 1), (20, 1), (20, 1)],
}


@pytest.mark.parametrize("name", COSTS)
def test_costs_of_queries(name: str) -> None:
    assert costs(name) == COSTS[name]


def costs(name: str) -> list[tuple[int, int]]:
    patches = 1 if name in ONE_PATCH else 2
    lattice = covering_lattice((1, 11), (16, 16), PatchSpec(16), order=2 * patches)
    labels = mixed_labels(lattice, 5, seed=1)
    table = PredictionTable(lattice, labels, random_margins(labels, 2))
    defender = (family(patches, 0.5) | ONE_PATCH)[name]
    filled = [filled_as_asked(defender.with_output(output), table) for output in WANTS]
    return [(int(found.evaluated.sum()), rounds) for found, rounds in filled]
