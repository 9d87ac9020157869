"""Settings of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from mrcert_pl.defenders import Defender
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.initial_weights import INITIAL_WEIGHTS
from mrcert_pl.tasks.checks import check_choice, check_flag, check_mapping, check_number, check_stride
from mrcert_pl.tasks.settings import DatasetSettings, ModelSettings, RunSettings, TrainerSettings

STAGES = ("one", "srf_vanilla", "split")


@dataclass(frozen=True)
class RecipeSettings:
    """Training of a model: schedule, masks, augmentation.

    Attributes:
        epochs: number of epochs.
        batch_size: images per batch and device.
        mask_orders: numbers of masks in a union; default: 0 to twice the number of patches.
        mask_draws: ``masks`` (draw an order, then masks with replacement) or ``distinct`` (uniform over the distinct
            unions of these orders).
        mask_heaviest: fraction of draws of the largest order, without repeated masks.
        mask_strides: strides of the training masks, drawn equally often; default: ``stride`` alone.
        mask_patch: patch size of the training masks; default: the patch to defend against.
        masks_per_batch: one union per batch instead of one per image.
        augmentation: arguments of timm's training transform; default: the preprocessing of evaluation.
        finetuning: further arguments of :class:`mrcert_pl.lit.MaskedFinetuning`.
    """

    epochs: int = 1
    batch_size: int = 64
    mask_orders: Sequence[int] | None = None
    mask_draws: str = "masks"
    mask_heaviest: float = 0.0
    mask_strides: Sequence[int] | None = None
    mask_patch: Shape | None = None
    masks_per_batch: bool = False
    augmentation: Mapping[str, Any] | None = None
    finetuning: Mapping[str, Any] = field(default_factory=lambda: {"optimizer": {"opt": "adamw", "lr": 1e-4}})

    def __post_init__(self) -> None:
        check_number("recipe.epochs", self.epochs, 1)
        check_number("recipe.batch_size", self.batch_size, 1)
        check_number("recipe.mask_heaviest", self.mask_heaviest, 0, whole=False, at_most=1)
        check_flag("recipe.masks_per_batch", self.masks_per_batch)
        if self.mask_patch is not None:
            PatchSpec(self.mask_patch)
        if self.augmentation is not None:
            check_mapping("recipe.augmentation", self.augmentation)
        check_mapping("recipe.finetuning", self.finetuning)
        check_mapping("recipe.finetuning.optimizer", self.finetuning.get("optimizer", {}))
        for name, numbers, what, at_least in (
            ("mask_orders", self.mask_orders, "numbers of masks, such as [0,1,2]", 0),
            ("mask_strides", self.mask_strides, "strides, such as [4,2]", 1),
        ):
            if numbers is None:
                continue
            if isinstance(numbers, str) or not isinstance(numbers, Sequence) or not numbers:
                raise ConfigurationError(f"recipe.{name} must be a list of {what}, got {numbers!r}")
            for number in numbers:
                check_number(f"recipe.{name}", number, at_least)


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of :func:`mrcert_pl.train`.

    Attributes:
        dataset: images.
        model: base model.
        patch: patch to defend against.
        patches: total number of patches, before and after certification.
        stride: stride of the masks in windows, of votes in px.
        recipe: schedule, masks and augmentation.
        stage: ``one``; or ``srf_vanilla`` (no masks), then ``split`` (masks; the SRF half from ``srf_checkpoint``).
        srf_checkpoint: checkpoint of the first stage.
        made_by: command that creates the checkpoint of the first stage, for the error if it is missing.
        defender: defender for certified accuracies during validation.
        validation_images: number of validation images to certify, for the default callbacks.
        callbacks: Lightning callbacks by name; default: certified accuracies during validation, the best checkpoint by
            them, the last checkpoint, seeds for every batch.
        trainer: devices, precision and length.
        compile: compilation of the model's transformer blocks with ``torch.compile``.
        resume: checkpoint of a run to resume, or ``last`` for the newest one beside this run's folder.
        publish: file for a copy of the best checkpoint; default: none.
        run: folder, seed and record of the run.
    """

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    patch: Shape = 16
    patches: int = 2
    stride: int | tuple[int, int] = 1
    recipe: RecipeSettings = field(default_factory=RecipeSettings)
    stage: str = "one"
    srf_checkpoint: Path | None = None
    made_by: str | None = None
    defender: Defender[Any] | str = "mrcert"
    validation_images: int = 64
    callbacks: Mapping[str, Callback] | None = None
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    compile: bool = False
    resume: str | None = None
    publish: Path | None = None
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        check_choice("stage", self.stage, STAGES)
        check_flag("compile", self.compile)
        check_number("patches", self.patches, 1)
        check_stride(self.stride)
        PatchSpec(self.patch)
        if self.stage != "one" and self.model.name != "vit_srf":
            raise ConfigurationError(f"stage={self.stage} trains one half of a ViT-SRF (model=vit_srf); give stage=one")

    def identity(self) -> dict[str, Any]:
        """Return the settings that a resumed training must have, as plain values by name."""
        # Other data sets are the same images wherever they are.
        own = {} if self.dataset.name != "folder" else {"dataset.root": str(Path(self.dataset.root or "").absolute())}
        return {
            "dataset.name": self.dataset.name,
            **own,
            "dataset.limit": self.dataset.limit,
            "dataset.resize": self.dataset.resize,
            "model.name": self.model.name,
            **{f"model.{name}": value for name, value in self.model.arguments.items() if name not in INITIAL_WEIGHTS},
            "patch": str(self.patch),
            "patches": self.patches,
            "stride": self.stride if isinstance(self.stride, int) else list(self.stride),
            "seed": self.run.seed,
            "stage": self.stage,
            **{f"recipe.{name}": value for name, value in vars(self.recipe).items() if name != "epochs"},
        }
