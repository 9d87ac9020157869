"""``python train.py``, ``mrcert train``: masked fine-tuning."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError, unknown

if TYPE_CHECKING:
    from mrcert_pl.lit import MaskedFinetuning
    from mrcert_pl.models import AblatedViT, ViTSRF
    from mrcert_pl.training import WindowSampler

_STAGES = ("one", "srf_vanilla", "split")


@command("train")
def main(cfg: DictConfig) -> None:
    """Train, and leave the best checkpoint where ``eval.py`` finds it."""
    from hydra.utils import instantiate

    from mrcert_pl.callbacks import ImageProgressBar
    from mrcert_pl.cli.build import build_data, build_model, build_trainer, command_line, finish, start
    from mrcert_pl.cli.recording import record_training
    from mrcert_pl.cli.resume import checkpoint_to_resume, run_folder
    from mrcert_pl.models.checkpoints import read_checkpoint
    from mrcert_pl.models.stages import restore_srf

    if cfg.stage not in _STAGES:
        raise unknown("stage", cfg.stage, _STAGES)
    if cfg.stage != "one" and cfg.model.name != "vit_srf":
        raise ConfigurationError(f"stage={cfg.stage} trains one half of a ViT-SRF (model=vit_srf); give stage=one")
    if cfg.stage == "srf_vanilla" and "checkpoint" in cfg.callbacks:
        # A model that has never seen a mask certifies hardly anything: that would choose the first epoch of a tie.
        cfg.callbacks.checkpoint.monitor = "val/unmasked_accuracy"
    resumed = checkpoint_to_resume(cfg)
    start(cfg, run_dir=resumed and run_folder(resumed))
    model = build_model(cfg)
    if cfg.stage == "split":
        first_stage = f"{command_line(cfg, 'train.py')} stage=srf_vanilla"
        restore_srf(model, read_checkpoint(cfg.srf_checkpoint, made_by=first_stage))
    data = build_data(
        cfg,
        model.image_px,
        batch_size=cfg.recipe.batch_size,
        augmentation=cfg.recipe.augmentation,
        seed=cfg.seed,
    )
    module = _finetuning(cfg, model)
    if cfg.compile:
        model.compile()
    callbacks = {name: instantiate(node, _convert_="all") for name, node in cfg.callbacks.items()}
    # A short training is validated once, at its end, so that there is a best checkpoint.
    cfg.trainer.check_val_every_n_epoch = min(cfg.trainer.check_val_every_n_epoch, cfg.trainer.max_epochs)
    trainer = build_trainer(cfg, [*callbacks.values(), ImageProgressBar()])
    checkpoint: Any = callbacks.get("checkpoint")
    try:
        trainer.fit(module, data, ckpt_path=resumed)
    except BaseException:
        if checkpoint and checkpoint.best_model_path:
            print(f"the best checkpoint so far is kept: {checkpoint.best_model_path}", file=sys.stderr)
        raise
    record_training(trainer.loggers, cfg, data, model, checkpoint)
    finish(trainer)
    if checkpoint and checkpoint.best_model_path and trainer.is_global_zero:
        _publish(cfg, checkpoint.best_model_path, float(checkpoint.best_model_score))


def _finetuning(cfg: DictConfig, model: "ViTSRF | AblatedViT") -> "MaskedFinetuning":
    """The LightningModule of a recipe."""
    from hydra.utils import instantiate

    from mrcert_pl.cli.build import description_of
    from mrcert_pl.models.checkpoints import describe_model

    description = description_of(cfg)
    classes = description.classes
    origin = {
        "name": cfg.model.name,
        "dataset": cfg.dataset.name,
        "classes": list(classes),
        "resize": cfg.dataset.get("resize") or description.resize,
        "patch": str(cfg.patch),
        "stride": cfg.stride if isinstance(cfg.stride, int) else list(cfg.stride),
        "seed": cfg.seed,
    }
    return instantiate(cfg.recipe.finetuning, _partial_=True, _convert_="all")(
        model=model,
        masks=_sampler(cfg, model),
        num_classes=len(classes),
        batch_size=cfg.recipe.batch_size,
        origin={**describe_model(model), **origin, "stage": cfg.stage},
    )


def _sampler(cfg: DictConfig, model: "ViTSRF | AblatedViT") -> "WindowSampler":
    """What training hides: all but one ablation if the model is one for votes, else masks of the recipe's size."""
    from mrcert_pl.cli.build import patch_of
    from mrcert_pl.geometry import PatchSpec
    from mrcert_pl.models import AblatedViT
    from mrcert_pl.training import AblationSampler, MaskSampler

    per_batch = cfg.recipe.masks_per_batch
    if isinstance(model, AblatedViT):
        return AblationSampler(model.ablations(cfg.stride), per_batch)
    patch = patch_of(cfg)
    masked = PatchSpec(cfg.recipe.mask_patch) if cfg.recipe.mask_patch else patch
    orders = [0] if cfg.stage == "srf_vanilla" else cfg.recipe.mask_orders or range(2 * patch.count + 1)
    return MaskSampler(model.covering_masks(masked, cfg.stride), model.windows, orders, per_batch)


def _publish(cfg: DictConfig, best: str, score: float) -> None:
    """Copy the best checkpoint of the run to where the next command looks for it, and say so."""
    from hydra.utils import instantiate

    from mrcert_pl.cli.build import command_line
    from mrcert_pl.files import write_whole

    place = Path(cfg.srf_checkpoint if cfg.stage == "srf_vanilla" else cfg.checkpoint)
    replaced = " (in place of an earlier one, which its own run in outputs keeps)" if place.exists() else ""
    write_whole(place, lambda partial: shutil.copyfile(best, partial), "paths.checkpoint_dir")
    if cfg.stage == "srf_vanilla":
        following = f"Train the second stage with:  {command_line(cfg, 'train.py')} stage=split"
    else:
        defender = instantiate(cfg.defender, _convert_="all").name
        following = f"Certify it with:  {command_line(cfg, 'eval.py')} defender={defender}"
    print(f"\nBest checkpoint ({cfg.callbacks.checkpoint.monitor} {score:.3f}): {place}{replaced}\n{following}")


if __name__ == "__main__":
    main()
