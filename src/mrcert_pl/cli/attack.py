"""``mrcert attack``: a patch attack on the base model, and the set of attacked images that it leaves."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command

if TYPE_CHECKING:
    from mrcert_pl.data.attacked import AttackedImages
    from mrcert_pl.results import AttackResult


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
    from mrcert_pl.cli.examples import attacked_examples
    from mrcert_pl.cli.recording import attack_artifacts
    from mrcert_pl.cli.resume import store_folder
    from mrcert_pl.data import AttackedSet
    from mrcert_pl.data.attacked import AttackedImages
    from mrcert_pl.lit import PatchAttacking
    from mrcert_pl.models.checkpoints import describe_model, read_checkpoint, restore, weights_digest
    from mrcert_pl.results.runs import CONTACT_SHEET
    from mrcert_pl.views.figures import draw_attack
    from mrcert_pl.views.wandb import MOST_EXAMPLES, WandbRun, log_attack

    adopt(cfg)
    run_dir = start(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    model = build_model(cfg, start=False)
    attack = instantiate(cfg.attack, _partial_=True, _convert_="all")(patch_of(cfg), seed=cfg.seed)
    cfg.dataset.limit = cfg.images
    data = build_data(cfg, model.image_px, batch_size=cfg.batch_size, seed=cfg.seed)
    restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    trainer = build_trainer(cfg, [ImageProgressBar("Attacking")])
    header = {
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
        images = AttackedImages(attacked.folder)
        result = _result(cfg, images, header["weights_sha256"], data.description.name, attack, device_of(trainer))
        _report(result, run_dir)
        examples = attacked_examples(images, data, max(cfg.pictures, MOST_EXAMPLES))
        if cfg.pictures:
            print(draw_attack(run_dir / CONTACT_SHEET, examples[: cfg.pictures], data.description.classes))
        if run := WandbRun.of(trainer.loggers):
            facts = {"base_before": result.before.measured, "base_after": result.after.measured}
            artifacts = attack_artifacts(cfg, data, result, images.folder, facts)
            log_attack(run, result, examples[:MOST_EXAMPLES], data.description.classes, artifacts)
    finish(trainer)


def _result(
    cfg: DictConfig, images: "AttackedImages", weights_sha256: str, dataset: str, attack: Any, device: str
) -> "AttackResult":
    from mrcert_pl.results import Accuracy, AttackResult, Environment

    rows = images.facts
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    settings = attack.settings()
    return AttackResult(
        dataset=dataset,
        model=cfg.model.name,
        patch=config["patch"],
        attack=settings.pop("attack"),
        attack_settings=settings,
        n=len(rows),
        before=Accuracy(sum(row["clean_prediction"] == row["label"] for row in rows), len(rows)),
        after=Accuracy(sum(row["prediction"] == row["label"] for row in rows), len(rows)),
        successes=sum(row["success"] for row in rows),
        attacked=str(images.folder),
        weights_sha256=weights_sha256,
        seed=cfg.seed,
        environment=Environment.here(device, str(cfg.trainer.precision)),
        checkpoint=str(cfg.checkpoint),
        command=" ".join(sys.argv),
        config=config,
    )


def _report(result: "AttackResult", run_dir: Path) -> None:
    """Write the result, and print it."""
    from mrcert_pl.results.runs import RESULTS

    file = result.write(run_dir / RESULTS)
    before, after = (f"{100 * (a.measured or 0.0):.1f} % ({a.count})" for a in (result.before, result.after))
    print(f"\n{result.n} images, patch {result.patch}: base accuracy {before} before the attack, {after} after it")
    place = shlex.quote(f"dataset.path={result.attacked}")
    print(f"{file}\nEvaluate a defender on them with:  python eval.py dataset=attacked {place} defender=mrcert")


if __name__ == "__main__":
    main()
