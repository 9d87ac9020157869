"""Evaluation as a LightningModule, so that Lightning gives devices, precision, DDP and progress."""

from typing import Any

import lightning as L
import torch.distributed as dist
from torch import Tensor, nn

from mrcert_pl.data import Sample
from mrcert_pl.defenders import Defender
from mrcert_pl.metrics import CertifiedRecoveryAccuracy
from mrcert_pl.mutants import MutantEvaluator, MutantSet


class Certification(L.LightningModule):
    """Certifies every image of a test set with one defender.

    Args:
        model: a base model whose windows can be hidden.
        lattice: the mutants that the defender needs, ``defender.mutants(model, patch, stride)``.
        defender: decides.
        token_budget: most tokens in one batch of mutants.

    Attributes:
        rows: one dict per finished image: those of this device during the test, of all devices, ascending by id,
            after it.
        counts: numbers of images by accuracy and their total ``n``, of all devices, after the test.
    """

    def __init__(self, model: nn.Module, lattice: MutantSet, defender: Defender[Any], token_budget: int = 8192) -> None:
        super().__init__()
        self.model = model
        self.defender = defender
        self.evaluator = MutantEvaluator(model, lattice, token_budget)  # type: ignore[arg-type]
        self.metric = CertifiedRecoveryAccuracy()
        self.rows: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {}

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        table = self.evaluator.evaluate(batch.image, self.defender, ids=batch.path)
        verdicts = self.defender.decide(table)
        base = table.labels[:, 0]
        self.metric.update(verdicts, batch.label, base=base)
        columns = {
            "id": batch.id,
            "path": batch.path,
            "label": batch.label,
            "base_prediction": base,
            "prediction": verdicts.label,
            "case": verdicts.case,
            "witness": verdicts.witness,
            "certified": verdicts.certified,
            "round_trip": verdicts.round_trip,
            "mutants_evaluated": table.evaluated.sum(1),
        }
        lists = [column.tolist() if isinstance(column, Tensor) else column for column in columns.values()]
        self.rows += [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]

    def on_test_epoch_end(self) -> None:
        self.counts = self.metric.counts()
        if dist.is_available() and dist.is_initialized():
            gathered: list[list[dict[str, Any]]] = [[] for _ in range(dist.get_world_size())]
            dist.all_gather_object(gathered, self.rows)
            self.rows = [row for part in gathered for row in part]
        self.rows.sort(key=lambda row: row["id"])
        self.log_dict({f"test/{name}": value for name, value in self.metric.compute().items()})
