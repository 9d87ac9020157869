"""Evaluation: as a LightningModule, so that Lightning gives devices, DDP and progress, or from stored tables."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from mrcert_pl.data import Sample
from mrcert_pl.defenders import Defender, Verdicts
from mrcert_pl.geometry import PatchSpec, certified_fraction, location_maps
from mrcert_pl.metrics import CertifiedRecoveryAccuracy
from mrcert_pl.models.flops import TableFlops
from mrcert_pl.mutants import MutantEvaluator, MutantSet, PredictionTable, TableStore

Keep = Callable[[list[dict[str, Any]]], object]


def _forget(rows: list[dict[str, Any]]) -> None:
    """What becomes of verdict rows that nobody wants."""


class Certification(L.LightningModule):
    """Certifies every image of a test set with one defender.

    Args:
        model: a base model whose windows can be hidden.
        lattice: the mutants that the defender needs, ``defender.mutants(model, patch, stride)``.
        defender: decides.
        token_budget: most tokens in one batch of mutants; by default what the device has memory for.
        store: has labels that are known already, and keeps the new ones.
        patch: for the share of its placements that can't change the label of an image, where the defender tells.
        attacked: count what the defender makes of the images that the base model misreads.
        keep: takes the verdict rows of every batch, one dict per image of this device.

    Attributes:
        finished: number of images of this device that have a verdict.
        counts: numbers of images by accuracy and their total ``n``, of all devices, after the test.
    """

    def __init__(
        self,
        model: nn.Module,
        lattice: MutantSet,
        defender: Defender[Any],
        token_budget: int | None = None,
        store: TableStore | None = None,
        patch: PatchSpec | None = None,
        attacked: bool = False,
        keep: Keep = _forget,
    ) -> None:
        super().__init__()
        self.model = model
        self.defender = defender
        self.evaluator = MutantEvaluator(model, lattice, token_budget)  # type: ignore[arg-type]
        self.store = store
        self.patch = patch
        self.flops = TableFlops.known(model, lattice.hidden)
        self.metric = CertifiedRecoveryAccuracy(attacked)
        self.keep = keep
        self.finished = 0
        self.counts: dict[str, int] = {}

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        ids, labels = batch.id.tolist(), batch.label.tolist()
        known = self.store.table(self.evaluator.mutants, ids, batch.image) if self.store is not None else None
        table = self.evaluator.evaluate(batch.image, self.defender, ids=batch.path, table=known)
        if self.store is not None:
            self.store.add(table, ids, batch.path, labels, batch.image)
        verdicts = self.defender.decide(table)
        self.metric.update(verdicts, batch.label, base=table.labels[:, 0])
        self.keep(verdict_rows(ids, batch.path, labels, table, verdicts, self.model, self.patch, self.flops))
        self.finished += len(ids)

    def on_test_epoch_end(self) -> None:
        self.counts = self.metric.counts()
        self.log_dict({f"test/{name}": value for name, value in self.metric.compute().items()})


def certify_stored(
    store: TableStore,
    lattice: MutantSet,
    defender: Defender[Any],
    model: Any,
    patch: PatchSpec,
    attacked: bool = False,
    only: Collection[int] | None = None,
    keep: Keep = _forget,
) -> dict[str, int]:
    """The counts of one defender on tables that are there already: no weights, no images, seconds.

    Args:
        store: the tables.
        lattice: the mutants of the defender.
        defender: decides.
        model: a model of the same kind; only its geometry is read.
        patch: as for :class:`Certification`.
        attacked: as for :class:`Certification`.
        only: ids of the images; by default all that have a table.
        keep: as for :class:`Certification`.

    Raises:
        ConfigurationError: if the tables lack labels that the defender needs.
    """
    metric = CertifiedRecoveryAccuracy(attacked)
    flops = TableFlops.known(model, lattice.hidden)
    for images, table in store.batches(lattice, only):
        verdicts = defender.with_output("map").decide(table)
        metric.update(verdicts, torch.tensor(images["label"]), base=table.labels[:, 0])
        keep(verdict_rows(images["id"], images["path"], images["label"], table, verdicts, model, patch, flops))
    return metric.counts()


def verdict_rows(
    ids: Sequence[int],
    paths: Sequence[str],
    labels: Sequence[int],
    table: PredictionTable[Any],
    verdicts: Verdicts,
    model: Any,
    patch: PatchSpec | None = None,
    flops: TableFlops | None = None,
) -> list[dict[str, Any]]:
    """One dict per image, with those columns of ``verdicts.parquet`` that the defender gives."""
    safe: Any = verdicts.safe_masks
    columns = {
        "id": ids,
        "path": paths,
        "label": labels,
        "base_prediction": table.labels[:, 0],
        "prediction": verdicts.label,
        "case": verdicts.case,
        "witness": verdicts.witness,
        "certified": verdicts.certified,
        "round_trip": verdicts.round_trip,
        "certified_patches": verdicts.certified_patches,
        "level": verdicts.level,
        "safe_masks": safe,
        "certified_fraction": None,
        "mutants_evaluated": table.evaluated.sum(1),
        "gflops": None if flops is None else flops.per_image(table.evaluated) / 1e9,
    }
    if safe is not None and patch is not None:
        maps = location_maps(safe, table.mutants.masks, model.borders, patch)
        columns["certified_fraction"] = certified_fraction(maps)
    columns = {name: column for name, column in columns.items() if column is not None}
    lists = [column.tolist() if isinstance(column, Tensor) else column for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
