"""Margins: which entries may count inside a certificate of MRCert, and that nothing else depends on them."""

import math
from itertools import pairwise

import pytest
import torch
from reference.defender_reference import mrcert_certified, mrcert_round_trip
from reference.defender_tables import as_mappings, lattice_of, planted_table, rows_of

from mrcert_pl.defenders import MRCert, witnesses
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.mutants.table import PredictionTable

MARGIN = 0.5
LATTICE = lattice_of("6 columns, masks of 2", 4)
LABELS = planted_table(LATTICE, images=1000).labels
# The margin itself is not above the margin, and one that is not a number is above nothing.
STEPS = torch.tensor([0.0, 0.25, 0.5, math.nan, 0.75, 1.0] + [1.5] * 60 + [math.inf] * 60)
MARGINS = STEPS[torch.randint(len(STEPS), LABELS.shape, generator=torch.Generator().manual_seed(0))]
TABLE = PredictionTable(LATTICE, LABELS, MARGINS)


def test_certificates_use_only_entries_above_the_margin() -> None:
    """In the reference an entry that does not count equals nothing, not even itself."""

    def doubted(margin: float) -> list[dict[int, int]]:
        return as_mappings(LATTICE, torch.where(margin < MARGINS, LABELS.double(), math.nan))

    masks = LATTICE.masks
    certified = [mrcert_certified(p, masks) for p in doubted(MARGIN)]
    round_trip = [mrcert_round_trip(p, masks) for p in doubted(2 * MARGIN)]
    verdicts = MRCert(margin=MARGIN).decide(TABLE)
    assert verdicts.certified.tolist() == certified
    assert verdicts.round_trip.tolist() == round_trip

    unconditional = MRCert().decide(TABLE)
    for kept, before in ((certified, unconditional.certified), (round_trip, unconditional.round_trip)):
        assert any(kept)
        assert sum(kept) < int(before.sum())


@pytest.mark.parametrize("margin", [0.25, 0.5, 1.0, math.inf])
def test_inference_does_not_look_at_margins(margin: float) -> None:
    verdicts, expected = MRCert(margin=margin).decide(TABLE), MRCert().decide(TABLE)
    for field in ("label", "case", "witness"):
        assert torch.equal(getattr(verdicts, field), getattr(expected, field))


def test_a_larger_margin_never_certifies_more() -> None:
    results = [MRCert(margin=margin).decide(TABLE) for margin in (0.0, 0.1, 0.25, 0.5, 0.75, 1.5, math.inf)]
    for field in ("certified", "round_trip"):
        certified = [getattr(verdicts, field) for verdicts in results]
        for smaller, larger in pairwise(certified):
            assert not (larger & ~smaller).any()
        assert certified[0].any()
        assert not certified[-1].any()


@pytest.mark.parametrize("images", [0, 3])
def test_a_table_without_margins(images: int) -> None:
    table = PredictionTable(LATTICE, LABELS[:images])
    assert len(MRCert().decide(table)) == images
    with pytest.raises(ConfigurationError, match=r"margin 0\.5 needs a table with margins"):
        MRCert(margin=0.5).decide(table)


def test_chunks_take_their_own_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows_of(MRCert(margin=MARGIN).decide(TABLE))
    monkeypatch.setattr(witnesses, "_CHUNK", 1)
    assert rows_of(MRCert(margin=MARGIN).decide(TABLE)) == expected
