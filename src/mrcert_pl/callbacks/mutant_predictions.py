"""Certified accuracies during validation."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from mrcert_pl.data import Sample
from mrcert_pl.defenders import Defender
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.metrics import CertifiedRecoveryAccuracy
from mrcert_pl.mutants import MutantEvaluator


class MutantPredictions(Callback):
    """Labels mutants of some validation images, as many as it takes, and logs what the defender makes of them.

    Logs ``val/base_accuracy``, ``val/clean_accuracy``, ``val/certified_accuracy`` and ``val/round_trip_accuracy`` over
    the first ``images`` validation images (of all devices together), so that a checkpoint can be chosen by one of them.

    Args:
        defender: decides.
        patch: size of the patch, as for :class:`mrcert_pl.geometry.PatchSpec`.
        stride: distance of neighbouring masks in windows.
        images: number of validation images to certify.
        token_budget: most tokens in one batch of mutants; by default what the device has memory for.
    """

    def __init__(
        self,
        defender: Defender[Any],
        patch: int | str | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        images: int = 64,
        token_budget: int | None = None,
    ) -> None:
        if images < 1:
            raise ConfigurationError(f"certify at least one validation image, not {images}")
        self.defender = defender.with_output("round_trip")
        self.patch = PatchSpec(patch)
        self.stride = stride
        self.images = images
        self.token_budget = token_budget
        self.metric = CertifiedRecoveryAccuracy()
        self._left = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        model: Any = pl_module.model
        lattice = self.defender.mutants(model, self.patch, self.stride)
        self.evaluator = MutantEvaluator(model, lattice, self.token_budget)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.metric = CertifiedRecoveryAccuracy().to(pl_module.device)
        # Images are dealt out in turn, so the first ones of the whole set are the first ones of every device.
        self._left = len(range(trainer.global_rank, self.images, trainer.world_size))

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        take = min(self._left, len(batch.label))
        if not take:
            return
        self._left -= take
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            table = self.evaluator.evaluate(batch.image[:take], self.defender, ids=batch.path[:take])
            self.metric.update(self.defender.decide(table), batch.label[:take], base=table.labels[:, 0])

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        shares = self.metric.compute()
        shares.pop("n")
        pl_module.log_dict({f"val/{name}_accuracy": value for name, value in shares.items()}, prog_bar=True)
