"""``python eval.py``, ``mrcert eval``: certification of a test set."""

import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command
from mrcert_pl.errors import unknown

# What a defender is asked for.
_WANTS: dict[str, Any] = {"full": "table", "lazy": "map"}


@command("eval")
def main(cfg: DictConfig) -> None:
    """Certify the test images with one defender; leave a table, ``results.json``, verdicts and the mutants' labels."""
    from mrcert_pl.cli.attacked import adopt
    from mrcert_pl.cli.build import start
    from mrcert_pl.metrics.certified_recovery import ACCURACIES, ADVERSARIAL

    known = (*ACCURACIES, ADVERSARIAL)
    if wrong := [name for name in cfg.reported or () if name not in known]:
        raise unknown("accuracy (reported=)", wrong[0], known)
    if cfg.evaluate not in _WANTS:
        raise unknown("way to evaluate (evaluate=)", cfg.evaluate, _WANTS)
    adopt(cfg)
    run_dir = start(cfg)
    if cfg.table is not None:
        _reapply(cfg, run_dir)
    else:
        _evaluate(cfg, run_dir)


def _evaluate(cfg: DictConfig, run_dir: Path) -> None:
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
    )
    from mrcert_pl.cli.locations import count_locations
    from mrcert_pl.cli.pictures import check_wanted, draw_verdicts
    from mrcert_pl.cli.recording import record_evaluation
    from mrcert_pl.cli.resume import store_folder
    from mrcert_pl.cli.stopwatch import announce
    from mrcert_pl.lit import Certification
    from mrcert_pl.models.checkpoints import describe_model, read_checkpoint, restore, weights_digest
    from mrcert_pl.mutants import TableStore
    from mrcert_pl.reporting import VerdictWriter, environment, merge_verdicts, verdict_column

    defender = instantiate(cfg.defender, _convert_="all").with_output(_WANTS[cfg.evaluate])
    model = build_model(cfg, start=False)
    lattice = defender.mutants(model, patch_of(cfg), cfg.stride)
    data = build_data(cfg, model.image_px, batch_size=cfg.batch_size)
    check_wanted(cfg, data)
    restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    trainer = build_trainer(cfg, [ImageProgressBar()])
    digest = weights_digest(model)
    rounding = _rounding(cfg, digest)
    header = {
        "dataset": cfg.dataset.name,
        "weights_sha256": digest,
        "model": describe_model(model),
        "mutants": lattice.identity(),
        "precision": str(trainer.precision),
    }
    store = TableStore(store_folder(cfg, run_dir), header)
    if len(store) and trainer.is_global_zero:
        print(f"{store.folder} has tables of {len(store)} images; what they know is not computed again")
    if trainer.is_global_zero:
        images = [record.id for record in data.split("test").records]
        announce(model, lattice, len(set(images) - set(store.ids())), cfg.token_budget, trainer)
    attacked = data.description.attacked is not None
    parts = [run_dir / f".verdicts.{rank}.parquet" for rank in range(trainer.world_size)]
    writer = VerdictWriter(parts[trainer.global_rank])
    certification = Certification(
        model, lattice, defender, cfg.token_budget, store, patch_of(cfg), attacked, keep=writer.add
    )

    started = time.perf_counter()
    try:
        with writer:
            trainer.test(certification, data, verbose=False)
    except BaseException:
        parts[trainer.global_rank].unlink(missing_ok=True)
        if certification.finished:
            print(
                f"the mutants of {certification.finished} finished images are kept: "
                f"the same command with store={store.folder} goes on from there",
                file=sys.stderr,
            )
        raise
    finally:
        store.flush()
    seconds = time.perf_counter() - started
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        verdicts = merge_verdicts(parts, run_dir / "verdicts.parquet")
        expected = [record.id for record in data.split("test").records]
        _check_complete(verdict_column(verdicts, "id"), expected, certification.counts["n"])
        facts = {
            "mutants": lattice.summary(),
            "checkpoint": str(cfg.checkpoint),
            "table": str(store.folder.absolute()),
            "weights_sha256": digest,
            **rounding,
            "seconds": round(seconds, 3),
            "environment": environment(device_of(trainer), str(trainer.precision)),
        }
        _report(cfg, run_dir, defender, certification.counts, facts)
        count_locations(cfg, run_dir, model, lattice)
        draw_verdicts(cfg, run_dir, data, model, lattice)
        record_evaluation(trainer.loggers, cfg, data, model, lattice, store.folder)
    finish(trainer)


def _reapply(cfg: DictConfig, run_dir: Path) -> None:
    """Another defender on the tables of an earlier evaluation: no weights, no images, seconds."""
    import torch
    from hydra.utils import instantiate

    from mrcert_pl.cli.build import build_data, build_loggers, build_model, description_of, patch_of
    from mrcert_pl.cli.locations import count_locations
    from mrcert_pl.cli.pictures import draw_verdicts
    from mrcert_pl.cli.recording import record_evaluation
    from mrcert_pl.lit.certification import certify_stored
    from mrcert_pl.models.checkpoints import describe_model
    from mrcert_pl.mutants import TableStore, stored_header
    from mrcert_pl.reporting import VerdictWriter, environment, merge_verdicts

    folder = Path(cfg.table)
    defender = instantiate(cfg.defender, _convert_="all")
    with torch.device("meta"):
        model = build_model(cfg, start=False)
    lattice = defender.mutants(model, patch_of(cfg), cfg.stride)
    stored = stored_header(folder)
    here = {"dataset": cfg.dataset.name, "model": describe_model(model), "mutants": lattice.identity()}
    store = TableStore(folder, {**stored, **here})
    loggers = build_loggers(cfg)

    data = build_data(cfg, model.image_px, batch_size=cfg.batch_size)
    # Which images a limit leaves only the data set knows; without one it needn't be there.
    only = None if cfg.dataset.limit is None else {record.id for record in data.split("test").records}

    started = time.perf_counter()
    attacked = description_of(cfg).attacked is not None
    part = run_dir / ".verdicts.0.parquet"
    with VerdictWriter(part) as writer:
        counts = certify_stored(store, lattice, defender, model, patch_of(cfg), attacked, only, writer.add)
    merge_verdicts([part], run_dir / "verdicts.parquet")
    facts = {
        "mutants": lattice.summary(),
        "table": str(folder.absolute()),
        "weights_sha256": stored["weights_sha256"],
        **_rounding(cfg, stored["weights_sha256"]),
        "seconds": round(time.perf_counter() - started, 3),
        "environment": environment("stored tables", stored["precision"]),
    }
    _report(cfg, run_dir, defender, counts, facts)
    count_locations(cfg, run_dir, model, lattice)
    draw_verdicts(cfg, run_dir, data, model, lattice)
    record_evaluation(loggers, cfg, data, model, lattice, folder)


def _rounding(cfg: DictConfig, weights_sha256: str) -> dict[str, Any]:
    """The margin of the certificates, and the spread of logits that it is chosen by, if that has been measured."""
    from mrcert_pl.reporting.logit_spread import read_deltas

    deltas = None if cfg.numerics is None else read_deltas(Path(cfg.numerics), weights_sha256)
    return {"margin": cfg.defender.get("margin"), "delta": deltas}


def _report(
    cfg: DictConfig,
    run_dir: Path,
    defender: Any,
    counts: dict[str, int],
    facts: dict[str, Any],
) -> None:
    """Write the result beside the verdicts, and show the table."""
    from mrcert_pl.cli.build import description_of
    from mrcert_pl.reporting import read_results, show, verdict_column, write_results

    verdicts = run_dir / "verdicts.parquet"
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    result = {
        "dataset": description_of(cfg).name,
        "model": cfg.model.name,
        "patch": config["patch"],
        "defender": defender.name,
        "round_trip_note": defender.round_trip_note,
        "mutants_per_image": round(fmean(verdict_column(verdicts, "mutants_evaluated")), 2),
        "gflops_per_image": _mean_gflops(verdict_column(verdicts, "gflops")),
        **facts,
        "seed": cfg.seed,
        "command": " ".join(sys.argv),
        "config": config,
    }
    file = write_results(run_dir / "results.json", counts, cfg.reported or {}, **result)
    print()
    show([read_results(file)])
    print(f"{file}\n{verdicts}")


def _mean_gflops(gflops: list[float | None]) -> float | None:
    """The mean over the images, ``None`` for a base model that doesn't count its operations."""
    counted = [value for value in gflops if value is not None]
    return round(fmean(counted), 6) if counted else None


def _check_complete(seen: list[int], expected: list[int], counted: int) -> None:
    """Every image exactly once, whatever the number of devices."""
    if sorted(seen) != sorted(expected) or counted != len(expected):
        raise RuntimeError(
            f"the test set has {len(expected)} images; {len(set(seen))} different ones gave {len(seen)} verdicts, "
            f"of which {counted} were counted"
        )


if __name__ == "__main__":
    main()
