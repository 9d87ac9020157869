"""``python eval.py``, ``mrcert eval``: certification of a test set."""

import sys
import time

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command


@command("eval")
def main(cfg: DictConfig) -> None:
    """Certify the test images with one defender; leave a table, ``results.json`` and ``verdicts.parquet``."""
    from hydra.utils import instantiate

    from mrcert_pl.callbacks import ImageProgressBar
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
    from mrcert_pl.lit import Certification
    from mrcert_pl.models.checkpoints import read_checkpoint, restore, weights_digest
    from mrcert_pl.reporting import environment, read_results, show, write_results, write_verdicts

    run_dir = start(cfg)
    defender = instantiate(cfg.defender, _convert_="all")
    model = build_model(cfg, start=False)
    lattice = defender.mutants(model, patch_of(cfg), cfg.stride)
    data = build_data(cfg, model.image_px, batch_size=cfg.batch_size)
    restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    certification = Certification(model, lattice, defender, cfg.token_budget)
    trainer = build_trainer(cfg, [ImageProgressBar()])

    started = time.perf_counter()
    try:
        trainer.test(certification, data, verbose=False)
    except BaseException:
        if certification.rows:
            kept = write_verdicts(run_dir / f"verdicts.partial.rank{trainer.global_rank}.parquet", certification.rows)
            print(f"the verdicts on {len(certification.rows)} finished images are in {kept}", file=sys.stderr)
        raise
    seconds = time.perf_counter() - started
    rows, counts = certification.rows, certification.counts
    _check_complete([row["id"] for row in rows], [record.id for record in data.split("test").records], counts["n"])
    if trainer.is_global_zero:
        write_verdicts(run_dir / "verdicts.parquet", rows)
        result = {
            "dataset": cfg.dataset.name,
            "model": cfg.model.name,
            "patch": cfg.patch,
            "defender": defender.name,
            "round_trip_note": defender.round_trip_note,
            "mutants": lattice.summary(),
            "checkpoint": str(cfg.checkpoint),
            "weights_sha256": weights_digest(model),
            "seed": cfg.seed,
            "seconds": round(seconds, 3),
            "command": " ".join(sys.argv),
            "environment": environment(device_of(trainer), str(trainer.precision)),
            "config": OmegaConf.to_container(cfg, resolve=True),
        }
        file = write_results(run_dir / "results.json", counts, cfg.reported or {}, **result)
        print()
        show([read_results(file)])
        print(f"{file}\n{run_dir / 'verdicts.parquet'}")
    finish(trainer)


def _check_complete(seen: list[int], expected: list[int], counted: int) -> None:
    """Every image exactly once, whatever the number of devices."""
    if sorted(seen) != sorted(expected) or counted != len(expected):
        raise RuntimeError(
            f"the test set has {len(expected)} images; {len(set(seen))} different ones gave {len(seen)} verdicts, "
            f"of which {counted} were counted"
        )


if __name__ == "__main__":
    main()
