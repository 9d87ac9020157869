"""The second implementation agrees with the defenders, which have references and guarantees of their own."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mrcert_pl.defenders import AblationVote, Defender, MRCert, MRCertCascade, PatchCURE, Undefended, Verdicts
from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec, UnionLattice, covering_masks
from mrcert_pl.mutants.table import PredictionTable
from mrcert_pl.verification.masks import Answers, Unions, cascade, mrcert, patchcure, undefended
from mrcert_pl.verification.votes import touched_votes, vote

GRIDS = {
    "6 columns": (covering_masks((1, 6), (32, 16), PatchSpec(16)), 6),
    "3x3 windows": (covering_masks((3, 3), (16, 16), PatchSpec(16)), 9),
    "several sizes": ((0b00000011, 0b00011100, 0b11000000, 0b01000001, 0b00100010), 8),
}
COLUMNS = {"prediction": "label"}


def layered(lattice: UnionLattice, images: int = 300) -> PredictionTable:
    """Labels by order or by the first masks that hide, with exceptions, so that every case and level occurs."""
    by_order = torch.randint(3, (images, lattice.order + 1))
    by_order[: images // 2] = torch.where(torch.rand(images // 2, lattice.order + 1) < 0.8, 1, by_order[: images // 2])
    labels = by_order[:, lattice.orders]
    hiding = lattice.containing(1)[torch.randint(lattice.size(1), (images,))]
    labels = torch.where(hiding & (torch.rand(images, 1) < 0.7), torch.randint(3, (images, 1)), labels)
    exceptions = torch.rand(images, len(lattice)) < torch.rand(images, 1) * 0.05
    labels = torch.where(exceptions, torch.randint(3, labels.shape), labels)
    return PredictionTable(lattice, labels, torch.rand(labels.shape).pow(0.05))


def arrays(table: PredictionTable) -> tuple[np.ndarray, np.ndarray]:
    assert table.margins is not None
    return table.labels.numpy(), table.margins.double().numpy()


def assert_same(verdicts: Verdicts, answers: Answers) -> None:
    for name, column in answers.items():
        expected: Tensor = getattr(verdicts, COLUMNS.get(name, name))
        assert expected.tolist() == column.tolist(), name


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("patches", [1, 2])
def test_mrcert_and_cascade(grid: str, margin: float, patches: int) -> None:
    masks, windows = GRIDS[grid]
    table = layered(UnionLattice(masks, windows, 2 * patches, allow_blind=True))
    labels, margins = arrays(table)
    seen = set()
    for certificate in ("paper", "sharp"):
        verdicts = MRCert(patches, certificate, margin).decide(table)  # type: ignore[arg-type]
        assert_same(verdicts, mrcert(table.mutants.identity(), labels, margins, patches, certificate, margin))
        seen |= set(verdicts.case.tolist())
    assert seen == set(range(1, patches + 3))
    verdicts = MRCertCascade(patches, margin).decide(table)
    assert_same(verdicts, cascade(table.mutants.identity(), labels, margins, patches, margin))
    assert len(set(verdicts.level.tolist())) == patches + 1
    assert 0 < verdicts.certified.float().mean() < 1


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_patchcure_and_undefended(grid: str, margin: float) -> None:
    masks, windows = GRIDS[grid]
    table = layered(UnionLattice(masks, windows, 2, allow_blind=True))
    mutants, (labels, margins) = table.mutants.identity(), arrays(table)
    for reference, certificate in (("original", "sharp"), ("original", "paper"), ("majority", "sharp")):
        verdicts = PatchCURE(reference, certificate, margin).decide(table)  # type: ignore[arg-type]
        assert_same(verdicts, patchcure(mutants, labels, margins, reference, certificate, margin))
        assert 0 < verdicts.certified.float().mean() < 1
        assert set(verdicts.case.tolist()) == {1, 2, 3}
    assert_same(Undefended().decide(table), undefended(mutants, labels, margins))


def test_unions_have_the_columns_of_the_lattice() -> None:
    for masks, windows in GRIDS.values():
        lattice, unions = UnionLattice(masks, windows, 4, allow_blind=True), Unions(masks, 4)
        assert tuple(unions.unions) == lattice.unions
        assert unions.sizes == [lattice.size(order) for order in range(5)]


@pytest.mark.parametrize("kind", ["column", "row", "both", "block"])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_votes(kind: str, margin: float) -> None:
    ablations = PatchedAblations(Ablations((8, 10), 2, 1 if kind != "block" else 2, kind), PatchSpec((1, 2)))  # type: ignore[arg-type]
    votes = torch.where(torch.rand(200, len(ablations)) < torch.rand(200, 1), 1, torch.randint(3, (200, 1)))
    votes = torch.where(torch.rand(votes.shape) < 0.05, torch.randint(4, votes.shape), votes)
    table = PredictionTable(ablations, votes, torch.rand(votes.shape).pow(0.05))
    labels, margins = arrays(table)
    assert touched_votes(ablations.identity(), [(1, 2)]).sum(1).max() == ablations.delta
    for certificate in ("paper", "sharp"):
        defender: Defender = AblationVote(certificate, margin)  # type: ignore[arg-type]
        verdicts = defender.decide(table)
        mutants = {**ablations.identity(), "patch_px": [(1, 2)]}
        answers = vote(mutants, labels, margins, certificate, margin)
        assert_same(verdicts, answers)
        assert 0 < verdicts.certified.float().mean() < 1
