"""Masked fine-tuning of a base model whose windows can be hidden."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from timm.data import Mixup
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn

from mrcert_pl.data import Sample
from mrcert_pl.errors import CheckpointError, ConfigurationError, NumericalError
from mrcert_pl.models.checkpoints import base_weights, with_digest
from mrcert_pl.models.hiding_model import HidingModel
from mrcert_pl.models.integrity import digest_of
from mrcert_pl.models.protocols import TrainableModel
from mrcert_pl.training import Distillation, WindowSampler, effective_lr, set_drop_path

_log = logging.getLogger(__name__)
# Digest of the teacher in a checkpoint.
_TEACHER = "teacher_sha256"


class MaskedFinetuning(L.LightningModule):
    """Train a base model on mutants: unions of masks are hidden, or all but one ablation of a vote.

    Args:
        model: Base model, in training mode.
        masks: Sampler of the hidden windows of each image.
        num_classes: Number of classes of the data set.
        optimizer: Arguments of timm's ``create_optimizer_v2``; ``layer_decay`` follows the depth over SRF and LRF.
        batch_size: Images per batch and device.
        lr_scaling: Scaling of ``optimizer["lr"]`` with the images per step: ``none``, ``linear`` or ``sqrt``.
        drop_path: Stochastic depth rate of the last block.
        warmup_epochs: Epochs of linear warm-up from ``warmup_lr``, at most half of the epochs. A cosine to ``min_lr``
            follows, updated every step.
        warmup_lr: Learning rate of the first step.
        min_lr: Learning rate of the last step.
        step_epochs: Epochs between multiplications of the learning rate by ``step_factor``, instead of the cosine.
        step_factor: See ``step_epochs``; 1 keeps the learning rate constant.
        mixup: Arguments of timm's ``Mixup``, or ``None``.
        label_smoothing: Fraction of the target that is spread over all classes.
        distillation: Arguments of :class:`mrcert_pl.training.Distillation`, or ``None``.
        origin: Plain values about the model and its training, written into checkpoints.

    Raises:
        ConfigurationError: For settings that timm or PyTorch would refuse later.
    """

    def __init__(
        self,
        model: TrainableModel,
        masks: WindowSampler,
        num_classes: int,
        optimizer: Mapping[str, Any],
        batch_size: int = 64,
        lr_scaling: str = "none",
        drop_path: float = 0.0,
        warmup_epochs: float = 5.0,
        warmup_lr: float = 1e-5,
        min_lr: float = 0.0,
        step_epochs: float | None = None,
        step_factor: float = 0.1,
        mixup: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.1,
        distillation: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if mixup and batch_size % 2:
            raise ConfigurationError(f"mixup pairs the images of a batch: batch_size must be even, got {batch_size}")
        numbers = {
            "label_smoothing": label_smoothing,
            "warmup_epochs": warmup_epochs,
            "warmup_lr": warmup_lr,
            "min_lr": min_lr,
            "step_epochs": 1 if step_epochs is None else step_epochs,
            "step_factor": step_factor,
        }
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigurationError(f"recipe.finetuning.{name} must be a number, got {value!r}")
        if not 0 <= label_smoothing < 1:
            raise ConfigurationError(f"label_smoothing must be from 0 to below 1, got {label_smoothing}")
        if min(warmup_epochs, warmup_lr, min_lr, step_factor) < 0 or (step_epochs is not None and step_epochs <= 0):
            raise ConfigurationError(
                "a schedule needs warmup_epochs, warmup_lr, min_lr and step_factor of at least 0 and step_epochs above "
                f"0, got {warmup_epochs}, {warmup_lr}, {min_lr}, {step_factor} and {step_epochs}"
            )
        _check_optimizer(optimizer)
        effective_lr(optimizer["lr"], lr_scaling, batch_size)
        assert isinstance(model, nn.Module)
        # Before stochastic depth: the teacher has none.
        self.distillation = None if distillation is None else _distillation(model, distillation)
        if drop_path:
            set_drop_path(model.residual_blocks, drop_path)
        self.model = model
        self.masks = masks
        self.optimizer = dict(optimizer)
        self.batch_size = batch_size
        self.lr_scaling = lr_scaling
        self.warmup_epochs = warmup_epochs
        self.warmup_lr = warmup_lr
        self.min_lr = min_lr
        self.step_epochs = step_epochs
        self.step_factor = step_factor
        self.mixup = _mixup(mixup, label_smoothing, num_classes) if mixup else None
        # Mixup smooths its targets itself.
        self.label_smoothing = 0.0 if mixup else label_smoothing
        self.origin = dict(origin or {})

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        images, targets = batch.image, batch.label
        if self.mixup:
            images, targets = self.mixup(images, targets)
        hidden = self.masks(len(images), images.device)
        logits = self.model.classify_visible(self.model.encode(images), hidden)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        if self.distillation is not None:
            loss = self.distillation(loss, images, logits)
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
        lr, derivation = effective_lr(self.optimizer["lr"], self.lr_scaling, batch)
        if self.global_rank == 0:
            _log.info(derivation)
        assert isinstance(self.model, nn.Module)
        optimizer = create_optimizer_v2(self.model, **{**self.optimizer, "lr": lr})
        # In (fractions of) epochs: asking Lightning for the number of steps would start the loader early, and a resumed
        # run would get the images of the first epoch again.
        epochs = max(self.trainer.max_epochs or 1, 1)
        warmup: dict[str, Any] = {
            "warmup_t": min(self.warmup_epochs, epochs / 2),
            "warmup_lr_init": self.warmup_lr,
        }
        scheduler: Scheduler
        if self.step_epochs is None:
            scheduler = CosineLRScheduler(optimizer, t_initial=epochs, lr_min=self.min_lr, **warmup)
        else:
            scheduler = StepLRScheduler(optimizer, self.step_epochs, self.step_factor, **warmup)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        batches = self.global_step * self.trainer.accumulate_grad_batches
        scheduler.step(batches / self.trainer.num_training_batches)

    def on_train_end(self) -> None:
        if isinstance(self.model, HidingModel):
            self.model.new_head = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mrcert"] = with_digest(self.origin, base_weights(checkpoint["state_dict"]))
        if self.distillation is not None:
            checkpoint[_TEACHER] = digest_of(self.distillation.teacher.state_dict())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a resumed training has the teacher that it began with.

        Raises:
            CheckpointError: If it starts from other weights.
        """
        teacher = None if self.distillation is None else digest_of(self.distillation.teacher.state_dict())
        if checkpoint.get(_TEACHER, teacher) != teacher:
            raise CheckpointError(
                "this training began with a teacher of other weights (recipe.finetuning.distillation); give the "
                "model.weights and model.head_rows that it started from"
            )


def _check_optimizer(settings: Mapping[str, Any]) -> None:
    """Raise the errors that timm and PyTorch have for optimizer settings, before a training starts.

    Raises:
        ConfigurationError: For an unknown optimizer, an unknown argument or a value out of range.
    """
    name, lr, decay = settings.get("opt", "sgd"), settings.get("lr"), settings.get("layer_decay")
    known = [str(name) for name in list_optimizers()]
    plain = str(name).lower().removeprefix("lookahead_")
    if plain not in known:
        close: Sequence[str] = difflib.get_close_matches(plain, known, n=5) or ["adamw", "sgd", "momentum", "muon"]
        raise ConfigurationError(f"timm has no optimizer {name!r}; similar names: {', '.join(close)}")
    if isinstance(lr, bool) or not isinstance(lr, (int, float)) or not lr > 0:
        raise ConfigurationError(f"optimizer.lr must be a positive number, got {lr!r}")
    if decay is not None and not (isinstance(decay, (int, float)) and 0 < decay <= 1):
        raise ConfigurationError(f"optimizer.layer_decay must be above 0 and at most 1, or null, got {decay!r}")
    try:
        create_optimizer_v2([nn.Parameter(torch.zeros(2, 2))], **{**settings, "layer_decay": None})
    except (TypeError, ValueError, AssertionError, AttributeError) as error:
        raise ConfigurationError(f"the optimizer {name} does not accept {dict(settings)}: {error}") from error


def _mixup(settings: Mapping[str, Any], label_smoothing: float, num_classes: int) -> Mixup:
    try:
        mixup = Mixup(**settings, label_smoothing=label_smoothing, num_classes=num_classes)
    except TypeError as error:
        raise ConfigurationError(f"recipe.finetuning.mixup has an argument that timm's Mixup lacks: {error}") from error
    except (ValueError, AssertionError) as error:
        raise ConfigurationError(f"timm's Mixup does not accept recipe.finetuning.mixup={dict(settings)}") from error
    alphas = mixup.mixup_alpha, mixup.cutmix_alpha
    if not all(isinstance(alpha, int | float) for alpha in alphas) or max(alphas) <= 0:
        raise ConfigurationError(
            "recipe.finetuning.mixup needs a mixup_alpha or cutmix_alpha above 0, or cutmix_minmax (null: no mixup), "
            f"got {dict(settings)}"
        )
    return mixup


def _distillation(model: nn.Module, settings: Mapping[str, Any]) -> Distillation:
    try:
        return Distillation(model, **settings)
    except TypeError as error:
        raise ConfigurationError(
            f"recipe.finetuning.distillation takes weight and temperature, two numbers: {error}"
        ) from error
