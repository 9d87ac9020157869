"""``python train.py``, ``mrcert train``: masked fine-tuning."""

import shutil
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command


@command("train")
def main(cfg: DictConfig) -> None:
    """Train, and leave the best checkpoint where ``eval.py`` finds it."""
    from hydra.utils import instantiate

    from mrcert_pl.callbacks import ImageProgressBar
    from mrcert_pl.cli.build import build_data, build_model, build_trainer, finish, start
    from mrcert_pl.data import describe
    from mrcert_pl.geometry import PatchSpec, covering_masks
    from mrcert_pl.lit import MaskSampler
    from mrcert_pl.models.checkpoints import describe_model
    from mrcert_pl.reporting.files import write_whole

    start(cfg)
    model = build_model(cfg)
    patch = PatchSpec(OmegaConf.to_object(cfg)["patch"], count=cfg.patches)  # type: ignore[index, call-overload]
    masks = covering_masks(model.grid, model.window_px, patch, cfg.stride)
    orders = cfg.recipe.mask_orders or range(2 * patch.count + 1)
    data = build_data(
        cfg,
        model.image_px,
        batch_size=cfg.recipe.batch_size,
        augmentation=cfg.recipe.augmentation,
        seed=cfg.seed,
    )
    classes = describe(cfg.dataset.name).classes
    module = instantiate(cfg.recipe.finetuning, _partial_=True, _convert_="all")(
        model=model,
        masks=MaskSampler(masks, model.windows, orders),
        num_classes=len(classes),
        origin={
            **describe_model(model),
            "dataset": cfg.dataset.name,
            "classes": list(classes),
            "patch": str(cfg.patch),
            "seed": cfg.seed,
        },
    )
    callbacks = {name: instantiate(node, _convert_="all") for name, node in cfg.callbacks.items()}
    # A short training is validated once, at its end, so that there is a best checkpoint.
    cfg.trainer.check_val_every_n_epoch = min(cfg.trainer.check_val_every_n_epoch, cfg.trainer.max_epochs)
    trainer = build_trainer(cfg, [*callbacks.values(), ImageProgressBar()])
    checkpoint: Any = callbacks.get("checkpoint")
    try:
        trainer.fit(module, data)
    except BaseException:
        if checkpoint and checkpoint.best_model_path:
            print(f"the best checkpoint so far is kept: {checkpoint.best_model_path}", file=sys.stderr)
        raise
    finish(trainer)

    best = checkpoint.best_model_path if checkpoint else ""
    if best and trainer.is_global_zero:
        published = write_whole(Path(cfg.checkpoint), lambda partial: shutil.copyfile(best, partial))
        score = f"{cfg.callbacks.checkpoint.monitor} {float(checkpoint.best_model_score):.3f}"
        print(f"\nBest checkpoint ({score}): {published}\nCertify it with:  {_evaluation(cfg)}")


def _evaluation(cfg: DictConfig) -> str:
    return f"python eval.py dataset={cfg.dataset.name} model={cfg.model.name} patch={cfg.patch} defender=mrcert"


if __name__ == "__main__":
    main()
