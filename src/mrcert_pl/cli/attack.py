"""``mrcert attack``: a patch attack on the base model, and the set of attacked images that it leaves."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command

if TYPE_CHECKING:
    from mrcert_pl.data.attacked import AttackedImages


@command("attack")
def main(cfg: DictConfig) -> None:
    """Attack test images; leave the attacked set, ``results.json`` and a picture."""
    from hydra.utils import instantiate

    from mrcert_pl.callbacks import ImageProgressBar
    from mrcert_pl.cli.attacked import adopt, source_of
    from mrcert_pl.cli.build import (
        build_data,
        build_model,
        build_trainer,
        command_line,
        device_of,
        finish,
        patch_of,
        start,
    )
    from mrcert_pl.cli.pictures import draw_attack
    from mrcert_pl.cli.recording import record_attack
    from mrcert_pl.cli.resume import store_folder
    from mrcert_pl.data import AttackedSet
    from mrcert_pl.data.attacked import AttackedImages
    from mrcert_pl.data.attacked_header import parse_header
    from mrcert_pl.lit import PatchAttacking
    from mrcert_pl.models.checkpoints import describe_model, read_checkpoint, restore, weights_digest
    from mrcert_pl.reporting import environment

    adopt(cfg)
    run_dir = start(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    model = build_model(cfg, start=False)
    attack = instantiate(cfg.attack, _partial_=True, _convert_="all")(patch_of(cfg), seed=cfg.seed)
    cfg.dataset.limit = cfg.images
    data = build_data(cfg, model.image_px, batch_size=cfg.batch_size, seed=cfg.seed)
    restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    trainer = build_trainer(cfg, [ImageProgressBar("Attacking")])
    header = parse_header(
        {
            "dataset": data.description.attacked or data.description.name,
            "classes": list(data.description.classes),
            "images": [record.id for record in data.split("test").records],
            "quantize": attack.quantize,
            "attack": attack.settings(),
            "model": describe_model(model),
            "weights_sha256": weights_digest(model),
            "precision": str(trainer.precision),
            "device": trainer.strategy.root_device.type,
            "made_from": {
                "model": config["model"],
                "patch": config["patch"],
                "checkpoint": str(cfg.checkpoint),
                "dataset": source_of(cfg),
            },
        }
    )
    attacked = AttackedSet(store_folder(cfg, run_dir, "attacked"), header)
    if (finished := len(attacked.ids())) and trainer.is_global_zero:
        print(f"{attacked.folder} has {finished} attacked images; they are not attacked again")
    try:
        trainer.test(PatchAttacking(model, attack, attacked), data, verbose=False)
    except BaseException:
        print(
            f"{len(attacked.ids())} attacked images are kept: the same command with store={attacked.folder} goes on",
            file=sys.stderr,
        )
        raise
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        facts = {
            "weights_sha256": header.weights_sha256,
            "checkpoint": str(cfg.checkpoint),
            "attack": attack.settings(),
            "environment": environment(device_of(trainer), str(trainer.precision)),
        }
        images = AttackedImages(attacked.folder)
        _report(cfg, run_dir, images, {"dataset": data.description.name, **facts})
        draw_attack(cfg, run_dir, images, data)
        record_attack(trainer.loggers, cfg, data, images)
    finish(trainer)


def _report(cfg: DictConfig, run_dir: Path, images: "AttackedImages", facts: dict[str, Any]) -> None:
    """Write what the attack did to the base model, and say it."""
    from mrcert_pl.reporting import write_results

    rows = images.facts
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    counts = {
        "base_before": sum(row.clean_prediction == row.label for row in rows),
        "base_after": sum(row.prediction == row.label for row in rows),
        "n": len(rows),
    }
    result = {
        "model": cfg.model.name,
        "patch": config["patch"],
        "attacked": str(images.folder),
        "successes": sum(row.success for row in rows),
        **facts,
        "seed": cfg.seed,
        "command": " ".join(sys.argv),
        "config": config,
    }
    file = write_results(run_dir / "results.json", counts, {}, **result)
    shares = [f"{100 * counts[name] / len(rows):.1f} % ({counts[name]})" for name in ("base_before", "base_after")]
    print(f"\n{len(rows)} images, patch {cfg.patch}: base accuracy {shares[0]} before the attack, {shares[1]} after it")
    place = shlex.quote(f"dataset.path={images.folder}")
    print(f"{file}\nEvaluate a defender on them with:  python eval.py dataset=attacked {place} defender=mrcert")


if __name__ == "__main__":
    main()
