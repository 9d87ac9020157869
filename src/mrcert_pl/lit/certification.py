"""Evaluation as a LightningModule: Lightning adds devices, DDP and progress."""

from collections.abc import Callable
from typing import Any

import lightning as L

from mrcert_pl.data import Sample
from mrcert_pl.defenders import Defender, Verdicts
from mrcert_pl.metrics import accuracy_of
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.mutants import MutantEvaluator, MutantSet, PredictionTable, TableStore

OnBatch = Callable[[Sample, PredictionTable[Any], Verdicts], None]
"""Receives the images, tables and verdicts of a batch on this device."""


class Certification(L.LightningModule):
    """Certify every image of a test set with one defender.

    Args:
        model: Base model.
        mutants: Mutants of the defender, ``defender.mutants(model, patch, stride)``.
        defender: Defender.
        token_budget: Token budget of one batch of mutants; default: derived from free device memory.
        store: Store of known labels, which also receives the new ones.
        attacked: Count the images that the base model misclassifies separately.
        on_batch: Receiver of every batch.

    Attributes:
        finished: Number of images of this device that have a verdict.
        counts: Numbers of images by accuracy and their total ``n``, of all devices, after the test.
    """

    def __init__(
        self,
        model: BaseModel,
        mutants: MutantSet,
        defender: Defender[Any],
        token_budget: int | None = None,
        store: TableStore | None = None,
        attacked: bool = False,
        on_batch: OnBatch | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.defender = defender
        self.evaluator = MutantEvaluator(model, mutants, token_budget)
        self.store = store
        self.metric = accuracy_of(defender, attacked)
        self.on_batch = on_batch
        self.finished = 0
        self.counts: dict[str, int] = {}

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        ids, labels = batch.id.tolist(), batch.label.tolist()
        known = None if self.store is None else self.store.table(self.evaluator.mutants, ids, batch.image)
        table = self.evaluator.evaluate(batch.image, self.defender, ids=batch.path, table=known)
        if self.store is not None:
            self.store.add(table, ids, batch.path, labels, batch.image)
        verdicts = self.defender.decide(table)
        self.metric.update(verdicts, batch.label, base=table.labels[:, 0])
        if self.on_batch is not None:
            self.on_batch(batch, table, verdicts)
        self.finished += len(ids)

    def on_test_epoch_end(self) -> None:
        self.counts = self.metric.counts()
        self.log_dict({f"test/{name}": value for name, value in self.metric.compute().items()})
