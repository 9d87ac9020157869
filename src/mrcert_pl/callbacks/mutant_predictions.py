"""Certified accuracies during validation."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from mrcert_pl.data import Sample
from mrcert_pl.defenders import Defender, OutputLevel
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.metrics import accuracy_of
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.mutants import MutantEvaluator, MutantSet

# Names below val/; the others end in _accuracy.
_NAMES = {
    "certified_detection": "certified_accuracy",
    "certified_ratio": "certified_ratio",
    "alerts": "alerts",
}


class MutantPredictions(Callback):
    """Certify some validation images and log the accuracies of the defender.

    Logs ``val/base_accuracy``, ``val/clean_accuracy``, ``val/certified_accuracy`` and ``val/round_trip_accuracy`` over
    the first ``images`` validation images of all devices together: a checkpoint can be chosen by any of them. For a
    detector, ``val/certified_accuracy`` is the certified detection accuracy, and instead of round trips there are
    ``val/certified_ratio`` and ``val/alerts``.

    Args:
        defender: Defender.
        patch: Size of the patch, as for :class:`mrcert_pl.geometry.PatchSpec`.
        stride: Stride of the masks in windows.
        images: Number of validation images.
        token_budget: Token budget of one batch of mutants; default: derived from free device memory.

    Attributes:
        left: Number of images that this device has still to certify in this validation.

    Raises:
        ConfigurationError: For less than one image.
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
            raise ConfigurationError(f"the number of validation images to certify must be at least 1, got {images}")
        self.defender = defender.with_output(OutputLevel.ROUND_TRIP)
        self.patch = PatchSpec(patch)
        self.stride = stride
        self.images = images
        self.token_budget = token_budget
        self.metric = accuracy_of(self.defender)
        self.left = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        model = pl_module.model
        if not isinstance(model, BaseModel):
            raise ConfigurationError(f"certified validation needs a base model, {type(model).__name__} is none")
        self.evaluator = MutantEvaluator(model, self.mutants_of(model), self.token_budget)

    def mutants_of(self, model: BaseModel) -> MutantSet:
        """Return the mutants of each validation image."""
        return self.defender.mutants(model, self.patch, self.stride)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.metric = accuracy_of(self.defender).to(pl_module.device)
        # Images are dealt out in turn: the first ones of the whole set are the first ones of every device.
        self.left = len(range(trainer.global_rank, self.images, trainer.world_size))

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        take = min(self.left, len(batch.label))
        if not take:
            return
        self.left -= take
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            table = self.evaluator.evaluate(batch.image[:take], self.defender, ids=batch.path[:take])
            self.metric.update(self.defender.decide(table), batch.label[:take], base=table.labels[:, 0])

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        accuracies = self.metric.compute()
        logged = {
            f"val/{_NAMES.get(name, f'{name}_accuracy')}": value for name, value in accuracies.items() if name != "n"
        }
        pl_module.log_dict(logged, prog_bar=True)
