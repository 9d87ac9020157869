"""``python eval.py``, ``mrcert eval``: certification of a test set."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command
from mrcert_pl.errors import unknown

if TYPE_CHECKING:
    from mrcert_pl.results import EvaluationResult, VerdictRow

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
    from mrcert_pl.cli.examples import check_wanted
    from mrcert_pl.cli.resume import store_folder
    from mrcert_pl.cli.stopwatch import announce
    from mrcert_pl.lit import Certification
    from mrcert_pl.models.checkpoints import describe_model, read_checkpoint, restore, weights_digest
    from mrcert_pl.mutants import TableStore
    from mrcert_pl.results import Environment, MutantFacts, VerdictWriter, merge_verdicts

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
        model, lattice, defender, cfg.token_budget, store, patch_of(cfg), attacked, keep=_rows(writer.add)
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
        rows = merge_verdicts(parts, run_dir / "verdicts.parquet")
        expected = [record.id for record in data.split("test").records]
        _check_complete([row.id for row in rows], expected, certification.counts["n"])
        facts = {
            "mutants": MutantFacts.of(lattice.summary()),
            "checkpoint": str(cfg.checkpoint),
            "table": str(store.folder.absolute()),
            "weights_sha256": digest,
            **rounding,
            "seconds": round(seconds, 3),
            "environment": Environment.here(device_of(trainer), str(trainer.precision)),
        }
        result = _report(cfg, run_dir, defender, certification.counts, rows, facts)
        _show(cfg, run_dir, result, rows, data, model, lattice, trainer.loggers, store.folder)
    finish(trainer)


def _reapply(cfg: DictConfig, run_dir: Path) -> None:
    """Another defender on the tables of an earlier evaluation: no weights, no images, seconds."""
    import torch
    from hydra.utils import instantiate

    from mrcert_pl.cli.build import build_data, build_loggers, build_model, description_of, patch_of
    from mrcert_pl.lit.certification import certify_stored
    from mrcert_pl.models.checkpoints import describe_model
    from mrcert_pl.mutants import TableStore, stored_header
    from mrcert_pl.results import Environment, MutantFacts, VerdictWriter, merge_verdicts

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
        counts = certify_stored(store, lattice, defender, model, patch_of(cfg), attacked, only, _rows(writer.add))
    rows = merge_verdicts([part], run_dir / "verdicts.parquet")
    facts = {
        "mutants": MutantFacts.of(lattice.summary()),
        "table": str(folder.absolute()),
        "weights_sha256": stored["weights_sha256"],
        **_rounding(cfg, stored["weights_sha256"]),
        "seconds": round(time.perf_counter() - started, 3),
        "environment": Environment.here("stored tables", stored["precision"]),
    }
    result = _report(cfg, run_dir, defender, counts, rows, facts)
    _show(cfg, run_dir, result, rows, data, model, lattice, loggers, folder)


def _rounding(cfg: DictConfig, weights_sha256: str) -> dict[str, Any]:
    """The margin of the certificates, and the measured spread of logits that it is chosen by."""
    from mrcert_pl.results import read_deltas

    deltas = None if cfg.numerics is None else read_deltas(Path(cfg.numerics), weights_sha256)
    return {"margin": cfg.defender.get("margin"), "delta": deltas}


def _rows(keep: Any) -> Any:
    from mrcert_pl.results import VerdictRow

    return lambda rows: keep([VerdictRow(**row) for row in rows])


def _report(
    cfg: DictConfig,
    run_dir: Path,
    defender: Any,
    counts: dict[str, int],
    rows: "Sequence[VerdictRow]",
    facts: dict[str, Any],
) -> "EvaluationResult":
    """Write the result beside the verdicts, and print the table."""
    from mrcert_pl.cli.build import description_of
    from mrcert_pl.results import Accuracy, EvaluationResult
    from mrcert_pl.results.runs import RESULTS, VERDICTS
    from mrcert_pl.results.schema import ADVERSARIAL
    from mrcert_pl.views.terminal import show_results

    config: Any = OmegaConf.to_container(cfg, resolve=True)
    n, reported = counts["n"], cfg.reported or {}
    of = {name: n - counts["base"] if name == ADVERSARIAL else n for name in counts if name != "n"}
    gflops = [row.gflops for row in rows if row.gflops is not None]
    result = EvaluationResult(
        dataset=description_of(cfg).name,
        model=cfg.model.name,
        patch=config["patch"],
        defender=defender.name,
        defender_settings={name: value for name, value in config["defender"].items() if name != "_target_"},
        round_trip_note=defender.round_trip_note,
        n=n,
        accuracy={name: Accuracy(counts[name], of[name], reported.get(name)) for name in of},
        mutants_per_image=round(fmean(row.mutants_evaluated for row in rows), 2),
        gflops_per_image=round(fmean(gflops), 6) if gflops else None,
        **facts,
        seed=cfg.seed,
        command=" ".join(sys.argv),
        config=config,
    )
    file = result.write(run_dir / RESULTS)
    print()
    show_results([result])
    print(f"{file}\n{run_dir / VERDICTS}")
    return result


def _show(
    cfg: DictConfig,
    run_dir: Path,
    result: "EvaluationResult",
    rows: "Sequence[VerdictRow]",
    data: Any,
    model: Any,
    lattice: Any,
    loggers: Any,
    tables: Path,
) -> None:
    """Write maps and images, and log to W&B."""
    from mrcert_pl.cli.build import patch_of
    from mrcert_pl.cli.examples import evaluated_examples
    from mrcert_pl.cli.recording import evaluation_artifacts
    from mrcert_pl.errors import DataError
    from mrcert_pl.results import write_locations
    from mrcert_pl.results.rows import count_locations
    from mrcert_pl.results.runs import LOCATIONS
    from mrcert_pl.views.figures import draw_verdicts
    from mrcert_pl.views.wandb import MOST_EXAMPLES, WandbRun, log_evaluation
    from mrcert_pl.views.wandb.charts import accuracies

    locations = None
    if hasattr(model, "borders") and any(row.safe_masks is not None for row in rows):
        locations = count_locations(rows, lattice.masks, model.borders, patch_of(cfg))
    if locations is not None:
        write_locations(run_dir / LOCATIONS, locations)
    if cfg.pictures:
        examples = evaluated_examples(cfg, rows, cfg.pictures, data, model, lattice)
        draw_verdicts(run_dir / "pictures", examples, data.description.classes, result.patch)
        print(run_dir / "pictures")
        if data.description.attacked:
            _draw_defence(cfg, run_dir, examples, data)
    if not (run := WandbRun.of(loggers)):
        return
    try:
        examples = evaluated_examples(cfg, rows, MOST_EXAMPLES, data, model, lattice)
    except DataError as error:
        # Stored tables are enough for verdicts.
        print(f"no images for W&B: {error}")
        examples = []
    classes = data.description.classes
    artifacts = evaluation_artifacts(cfg, data, result, tables, accuracies(result))
    log_evaluation(run, result, rows, locations, examples, classes, artifacts)


def _draw_defence(cfg: DictConfig, run_dir: Path, examples: Any, data: Any) -> None:
    from mrcert_pl.cli.examples import defence_examples
    from mrcert_pl.results.runs import CONTACT_SHEET
    from mrcert_pl.views.figures import draw_defence

    defences, problem = defence_examples(Path(cfg.dataset.path), examples)
    if problem is not None:
        print(f"contact_sheet.png is without the originals; {problem}")
    print(draw_defence(run_dir / CONTACT_SHEET, defences, data.description.classes))


def _check_complete(seen: list[int], expected: list[int], counted: int) -> None:
    """Every image exactly once, whatever the number of devices."""
    if sorted(seen) != sorted(expected) or counted != len(expected):
        raise RuntimeError(
            f"the test set has {len(expected)} images; {len(set(seen))} different ones gave {len(seen)} verdicts, "
            f"of which {counted} were counted"
        )


if __name__ == "__main__":
    main()
