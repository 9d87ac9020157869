"""Masked fine-tuning of a base model whose windows can be hidden."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from torch import Tensor, nn

from mrcert_pl.data import Sample
from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.training.consistency import disagreement
from mrcert_pl.training.drop_path import set_drop_path
from mrcert_pl.training.learning_rate import LearningRateScaling, effective_lr
from mrcert_pl.training.mask_sampling import WindowSampler


class MaskedFinetuning(L.LightningModule):
    """Trains a base model on mutants: random unions of masks are hidden, or all but one ablation of a vote.

    Args:
        model: the base model, called as ``model(images, hidden)``.
        masks: draws the hidden windows of each image.
        num_classes: classes of the data set.
        optimizer: arguments of timm's ``create_optimizer_v2``; ``layer_decay`` goes by the true depth over SRF and LRF.
        batch_size: images per batch and device.
        lr_scaling: how ``optimizer["lr"]`` depends on the images per step, see :func:`mrcert_pl.training.effective_lr`.
        drop_path: highest rate of stochastic depth.
        worst_of: draw so many masks for each image and train on the one with the highest loss.
        consistency: weight of the disagreement with a second draw of masks, which is trained on as well; 0: one draw.
        warmup_epochs: epochs of linear warm-up from ``warmup_lr``, then a cosine to ``min_lr``, updated every step.
        step_epochs: instead of the cosine, multiply the learning rate by ``step_factor`` after every so many epochs.
        step_factor: 1 keeps it constant.
        mixup: arguments of timm's ``Mixup``, or ``None``.
        label_smoothing: share of the target that is spread over all classes.
        origin: what the checkpoint should say about where it comes from (plain values).
    """

    def __init__(
        self,
        model: nn.Module,
        masks: WindowSampler,
        num_classes: int,
        optimizer: Mapping[str, Any],
        batch_size: int = 64,
        lr_scaling: LearningRateScaling = "none",
        drop_path: float = 0.0,
        worst_of: int = 1,
        consistency: float = 0.0,
        warmup_epochs: float = 5.0,
        warmup_lr: float = 1e-5,
        min_lr: float = 0.0,
        step_epochs: float | None = None,
        step_factor: float = 0.1,
        mixup: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.1,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if worst_of < 1:
            raise ConfigurationError(f"the worst of at least one draw of masks, not of {worst_of}")
        if consistency < 0:
            raise ConfigurationError(f"the weight of consistency must be at least 0, not {consistency}")
        if mixup and batch_size % 2:
            raise ConfigurationError(f"mixup pairs the images of a batch; take an even batch size, not {batch_size}")
        if drop_path:
            set_drop_path(model.blocks, drop_path)  # type: ignore[arg-type]
        effective_lr(optimizer["lr"], lr_scaling, batch_size)
        self.model = model
        self.masks = masks
        self.optimizer = dict(optimizer)
        self.batch_size = batch_size
        self.lr_scaling = lr_scaling
        self.worst_of = worst_of
        self.consistency = consistency
        self.warmup_epochs = warmup_epochs
        self.warmup_lr = warmup_lr
        self.min_lr = min_lr
        self.step_epochs = step_epochs
        self.step_factor = step_factor
        self.mixup = Mixup(**mixup, label_smoothing=label_smoothing, num_classes=num_classes) if mixup else None
        self.label_smoothing = label_smoothing
        self.origin = dict(origin or {})

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        images, targets, smoothing = batch.image, batch.label, self.label_smoothing
        if self.mixup:
            images, targets = self.mixup(images, targets)
            smoothing = 0.0
        views = self._views(images, targets)
        loss = torch.stack([F.cross_entropy(logits, targets, label_smoothing=smoothing) for logits in views]).mean()
        if len(views) > 1:
            loss = loss + self.consistency * disagreement(views)
        if not loss.isfinite():
            raise NumericalError(
                f"the training loss became {float(loss.detach())} in epoch {self.current_epoch}, step "
                f"{self.global_step}; try a lower recipe.finetuning.optimizer.lr, gradient clipping "
                "(trainer.gradient_clip_val=1) or trainer.precision=32-true"
            )
        self.log(
            "train/loss", loss, on_step=False, on_epoch=True, sync_dist=True, prog_bar=True, batch_size=len(images)
        )
        return loss

    def _views(self, images: Tensor, targets: Tensor) -> list[Tensor]:
        """Logits ``[image, class]`` of the masked images that a step trains on: one, or two for consistency."""
        hidden = [self._hidden(images, targets)]
        if self.consistency:
            hidden.append(self.masks(len(images), images.device))
        # Both views share what is computed before anything is hidden.
        features = self.model.encode(images)  # type: ignore[operator]
        return [self.model.classify_visible(features, view) for view in hidden]  # type: ignore[operator]

    @torch.no_grad()
    def _hidden(self, images: Tensor, targets: Tensor) -> Tensor:
        """``[image, window]``: of ``worst_of`` draws the one with the highest loss, image by image."""
        drawn = [self.masks(len(images), images.device) for _ in range(self.worst_of)]
        if self.worst_of == 1:
            return drawn[0]
        # The windows are encoded alike whatever is hidden later.
        features = self.model.encode(images)  # type: ignore[operator]
        losses = [
            F.cross_entropy(self.model.classify_visible(features, hidden), targets, reduction="none")  # type: ignore[operator]
            for hidden in drawn
        ]
        worst = torch.stack(losses).argmax(0)
        return torch.stack(drawn)[worst, torch.arange(len(images), device=images.device)]

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        logits = self.model(batch.image)
        loss = F.cross_entropy(logits, batch.label)
        accuracy = (logits.argmax(1) == batch.label).float().mean()
        self.log_dict(
            {"val/loss": loss, "val/unmasked_accuracy": accuracy},
            on_epoch=True,
            sync_dist=True,
            batch_size=len(batch.label),
        )

    def configure_optimizers(self) -> Any:
        batch = self.batch_size * self.trainer.world_size * self.trainer.accumulate_grad_batches
        lr, how = effective_lr(self.optimizer["lr"], self.lr_scaling, batch)
        self.print(how)
        optimizer = create_optimizer_v2(self.model, **{**self.optimizer, "lr": lr})
        # In (fractions of) epochs: to ask Lightning for the number of steps would start the loader too early, and a
        # resumed run would get the images of the first epoch again.
        epochs = max(self.trainer.max_epochs or 1, 1)
        warmup: Any = {"warmup_t": min(self.warmup_epochs, epochs / 2), "warmup_lr_init": self.warmup_lr}
        scheduler: Any
        if self.step_epochs is None:
            scheduler = CosineLRScheduler(optimizer, t_initial=epochs, lr_min=self.min_lr, **warmup)
        else:
            scheduler = StepLRScheduler(optimizer, self.step_epochs, self.step_factor, **warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        batches = self.global_step * self.trainer.accumulate_grad_batches
        scheduler.step(batches / self.trainer.num_training_batches)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mrcert"] = self.origin
