"""Rounding can break a certificate that doesn't ask for margins, and none that asks for twice the measured spread."""

import pytest
import torch
from torch import Tensor

from mrcert_pl.attacks.logit_spread import METHODS, LogitSpread
from mrcert_pl.defenders import MRCert, MRCertCascade
from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.geometry import UnionLattice
from mrcert_pl.mutants import MutantEvaluator, PredictionTable

WINDOWS = 6
LATTICE = UnionLattice([1 << window for window in range(WINDOWS)], WINDOWS, order=4)
DEFENDERS = [MRCert, lambda **settings: MRCert(certificate="sharp", **settings), MRCertCascade]


class RoundingModel:
    """Adds up three numbers in float32, in an order that depends on the size of the batch, as real kernels do.

    Class 0 gets ``certainty``. Class 1 gets 1e8 + 1 - 1e8 if more than two windows are hidden, else 0: this is 0 from
    the left, in batches, and 1 the other way, alone.
    """

    windows = WINDOWS

    def __init__(self, certainty: float) -> None:
        self.certainty = certainty

    def encode(self, images: Tensor) -> Tensor:
        return images

    def mutant_tokens(self, hidden: Tensor) -> Tensor:
        return torch.ones(len(hidden), dtype=torch.long)

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: Tensor) -> Tensor:
        large, one = torch.tensor(1e8), torch.tensor(1.0)
        rounded = (large + one) - large if len(image) > 1 else (large - large) + one
        return torch.stack([torch.full((len(image),), self.certainty), rounded * (hidden.sum(1) > 2)], 1)


def table_of(model: RoundingModel, token_budget: int) -> PredictionTable:
    return MutantEvaluator(model, LATTICE, token_budget).evaluate(torch.zeros(1, 3, 1, 1), MRCert())


def attacked(table: PredictionTable, patched: int) -> PredictionTable:
    """Tables of one image whose windows ``patched`` the attacker owns: his best move and a few thousand random ones."""
    kept = (LATTICE.hidden | ~LATTICE.hidden[LATTICE.index(patched)]).all(1)
    labels = table.labels.repeat(2001, 1)
    labels[:, ~kept] = torch.randint(2, (2001, int((~kept).sum())), dtype=labels.dtype)
    # The proof of exactness: no witness outside, and another label for the unmasked image.
    for column, union in enumerate(LATTICE.unions):
        if not kept[column]:
            joined = union | patched
            known = labels[0, LATTICE.index(joined)] if joined in LATTICE.unions else 0
            labels[0, column] = 1 - known if union else 1
    return PredictionTable(LATTICE, labels)


@pytest.mark.parametrize("make", DEFENDERS)
def test_without_a_margin_rounding_breaks_a_certificate(make) -> None:
    model = RoundingModel(certainty=0.5)
    batched, alone = table_of(model, 10_000), table_of(model, 1)
    assert make().decide(batched).certified.all()
    labels = make().decide(attacked(alone, LATTICE.masks[0])).label
    assert (labels != make().decide(batched).label).any()


@pytest.mark.parametrize("make", DEFENDERS)
@pytest.mark.parametrize("certainty", [0.5, 1.5, 2.5, 3.5, 9.0])
def test_with_twice_the_spread_as_margin_it_does_not(make, certainty: float) -> None:
    model = RoundingModel(certainty)
    spread = LogitSpread(model, LATTICE, torch.zeros(1, 3, 1, 1), per_image=60)
    ways = spread.methods()
    for compare in ways.values():
        compare()
    margin = 2 * spread.delta("float32")
    assert margin == 2.0
    runs = [table_of(model, budget) for budget in (10_000, 1)]
    for run, smallest in zip(runs, (certainty, certainty - 1), strict=True):
        verdict = make(margin=margin).decide(run)
        assert bool(verdict.certified) == (smallest > margin)
        for other in runs if verdict.certified else []:
            for mask in LATTICE.masks:
                assert (make().decide(attacked(other, mask)).label == verdict.label).all()


def test_a_model_that_rounds_alike_everywhere_needs_a_tiny_margin(tiny_vit) -> None:
    lattice = UnionLattice([0b111, 0b111000], windows=14, order=2)
    spread = LogitSpread(tiny_vit, lattice, torch.rand(2, 3, 224, 224), per_image=100)
    assert spread.hidden.shape == (2 * len(lattice), 14)
    spreads = {way: compare() for way, compare in spread.methods().items()}
    assert {"whole batches", "one thread", "dense path", "bfloat16"} <= spreads.keys()
    for way, found in spreads.items():
        assert found.method == way
        assert found.mutants == 2 * len(lattice)
        assert found.delta < (0.1 if found.precision == "bfloat16" else 1e-4)
    assert spreads["bfloat16"].delta > spreads["whole batches"].delta


def test_delta_is_between_any_two_runs(tiny_vit, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run is off by 100 to one side, another by 50 to the other: neither's own difference is all of it."""
    lattice = UnionLattice([0b111, 0b111000], windows=14, order=2)
    spread = LogitSpread(tiny_vit, lattice, torch.rand(2, 3, 224, 224), per_image=1)
    honest = tiny_vit.classify_mutants
    offsets = iter((100.0, -50.0))
    monkeypatch.setattr(tiny_vit, "classify_mutants", lambda *arguments: honest(*arguments) + offset)
    for offset, way in zip(offsets, ("whole batches", "one thread"), strict=True):
        assert spread.methods()[way]().delta == pytest.approx(abs(offset), rel=1e-3)
    assert spread.delta("float32") == pytest.approx(150, rel=1e-3)


@pytest.mark.parametrize(("images", "mutants"), [(0, 4), (1, 0)])
def test_nothing_to_compare(tiny_vit, images: int, mutants: int) -> None:
    with pytest.raises(ConfigurationError, match="at least one image and one mutant"):
        LogitSpread(tiny_vit, UnionLattice([1], 14, 1), torch.rand(images, 3, 224, 224), mutants)


def test_what_differs_is_found(tiny_vit, monkeypatch: pytest.MonkeyPatch) -> None:
    lattice = UnionLattice([0b111, 0b111000], windows=14, order=2)
    honest = tiny_vit.classify_mutants

    def crowded(features, image, hidden):
        logits = honest(features, image, hidden)
        return logits + (len(image) == 2) * torch.eye(10)[3] * 100

    monkeypatch.setattr(tiny_vit, "classify_mutants", crowded)
    spreads = LogitSpread(tiny_vit, lattice, torch.rand(2, 3, 224, 224), per_image=1).methods()
    assert 1 + sum("GPU" not in method for method in spreads) == METHODS
    found = spreads["whole batches"]()
    assert found.delta == pytest.approx(100, rel=1e-3)
    assert found.flips == 2
    assert spreads["dense path"]().flips == 0


def test_a_method_whose_logits_are_not_finite_is_an_error(tiny_vit, monkeypatch: pytest.MonkeyPatch) -> None:
    spread = LogitSpread(tiny_vit, UnionLattice([1], 14, 1), torch.rand(1, 3, 224, 224))
    honest = tiny_vit.classify_mutants
    monkeypatch.setattr(tiny_vit, "classify_mutants", lambda *arguments: honest(*arguments) / 0)
    with pytest.raises(NumericalError, match=r"not finite \(whole batches\)"):
        spread.methods()["whole batches"]()


def test_damaged_weights_are_an_error(tiny_vit) -> None:
    tiny_vit.head.bias.data.fill_(torch.nan)
    with pytest.raises(NumericalError, match="not finite"):
        LogitSpread(tiny_vit, UnionLattice([1], 14, 1), torch.rand(1, 3, 224, 224))
