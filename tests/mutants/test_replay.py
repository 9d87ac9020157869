"""Several defenders on one table: nobody's queries are lost, and no mutant is labelled twice."""

import torch

from mrcert_pl.defenders import MRCert, MRCertCascade
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import MutantEvaluator, PredictionTable
from mrcert_pl.mutants.replay import Replay


def test_everyone_has_the_table_of_an_evaluation_alone(tiny_vit: ViTSRF) -> None:
    images = torch.rand(3, 3, 224, 224)
    defenders = [MRCert(), MRCertCascade(), MRCert(certificate="sharp")]
    mutants = defenders[0].mutants(tiny_vit, PatchSpec(32))
    shared, evaluator = PredictionTable.empty(mutants, len(images)), MutantEvaluator(tiny_vit, mutants)
    union = torch.zeros_like(shared.evaluated)
    for defender in defenders:
        own = PredictionTable.empty(mutants, len(images))
        evaluator.evaluate(images, Replay(defender.with_output("certificate"), own), table=shared)
        alone = MutantEvaluator(tiny_vit, mutants).evaluate(images, defender.with_output("certificate"))
        assert torch.equal(own.labels, alone.labels)
        assert own.margins is not None
        assert torch.equal(own.margins.isnan(), alone.labels < 0)
        union |= own.evaluated
    assert torch.equal(shared.evaluated, union)
    assert evaluator.labelled == int(union.sum()) < len(defenders) * union.numel()
