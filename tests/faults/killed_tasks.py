"""Trainings, evaluations and attacks that are killed and resumed until they end, and compared with undisturbed ones.

``python tests/faults/killed_tasks.py --kills 200`` runs the long version and prints the figures of
docs/reliability.md. The tasks run in forked processes, which find everything imported: a kill costs less than a second.
"""

import argparse
import io
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mrcert_pl import (
    AttackSettings,
    DatasetSettings,
    EvaluationSettings,
    ModelSettings,
    RecipeSettings,
    RunSettings,
    TrainerSettings,
    TrainingSettings,
    attack,
    evaluate,
    train,
)
from mrcert_pl.attacks import PatchIFGSM
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import TableStore, store
from mrcert_pl.mutants.shards import read_shard
from mrcert_pl.results import read_verdicts
from mrcert_pl.tasks import evaluate as evaluation_module

CPU = TrainerSettings(accelerator="cpu", progress=False)
SMALL = {"backbone": "vit_tiny_patch16_224", "split": 1, "backbone_args": {"embed_dim": 8, "depth": 2, "num_heads": 1}}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
IMAGES = 6


@dataclass(frozen=True)
class Task:
    """A task that can be killed.

    Attributes:
        run: Start it in a folder, or resume what is there.
        finished: What it has finished in a folder: parts by name. None of them may ever change.
        outcome: Its outcome in a folder, as values that are compared; ``None`` before it has ended.
    """

    run: Callable[[Path], object]
    finished: Callable[[Path], dict[str, Any]]
    outcome: Callable[[Path], Any]


def _checkpoint(path: Path) -> Any:
    return torch.load(io.BytesIO(path.read_bytes()), weights_only=True)


def _train(folder: Path) -> object:
    resume = "last" if (folder / "checkpoints/last.ckpt").exists() else None
    return train(
        TrainingSettings(
            dataset=DatasetSettings(limit=IMAGES),
            model=ModelSettings("vit_srf", SMALL),
            patch=32,
            defender="patchcure",
            validation_images=1,
            recipe=RecipeSettings(epochs=4, batch_size=3),
            trainer=replace(CPU, options={"check_val_every_n_epoch": 2}),
            resume=resume,
            publish=folder.parent / "published.ckpt",
            run=RunSettings(folder),
        )
    )


def _epochs(folder: Path) -> dict[str, Any]:
    """Finished epochs; a checkpoint that can't be read is an error."""
    last = folder / "checkpoints/last.ckpt"
    return {f"epoch {epoch}": True for epoch in range(_checkpoint(last)["epoch"] + 1)} if last.exists() else {}


def _trained(folder: Path) -> Any:
    if not (folder / "training.json").exists():
        return None
    result = json.loads((folder / "training.json").read_text())
    files = [folder / "checkpoints/last.ckpt", folder / "checkpoints/best.ckpt", folder.parent / "published.ckpt"]
    read = [_checkpoint(file) for file in files]
    weights = [{name: value.tolist() for name, value in content["state_dict"].items()} for content in read]
    steps = [(content["epoch"], content["global_step"]) for content in read]
    return weights, steps, result["weights_sha256"], result["best_score"]


def _model() -> ViTSRF:
    torch.manual_seed(0)
    return ViTSRF(**SMALL, num_classes=10).eval()  # type: ignore[arg-type]  # by name


def evaluate_in(folder: Path, trainer: TrainerSettings = CPU, images: int = IMAGES) -> object:
    """Evaluate in a folder, or resume what is there."""
    return evaluate(
        EvaluationSettings(
            model=_model(),
            patch=32,
            dataset=DatasetSettings(limit=images),
            defender="mrcert_sharp",
            patches=1,
            batch_size=1,
            trainer=trainer,
            run=RunSettings(folder),
        )
    )


def tables(folder: Path) -> dict[str, Any]:
    """Stored tables; an image that is stored twice is an error."""
    rows = [row for shard in sorted((folder / "mutants").glob("[!.]*.parquet")) for row in read_shard(shard)[1]]
    assert len({row.id for row in rows}) == len(rows), "an image is stored twice"
    return {str(row.id): (row.labels.tolist(), row.margins.tolist()) for row in rows}


def evaluated(folder: Path) -> Any:
    if not (folder / "results.json").exists():
        return None
    result = json.loads((folder / "results.json").read_text())
    rows = [replace(row, mutants_evaluated=0, gflops=None) for row in read_verdicts(folder / "verdicts.parquet")]
    return result["accuracy"], result["n"], result["weights_sha256"], rows, tables(folder)


def _attack(folder: Path) -> object:
    return attack(
        AttackSettings(
            model=_model(),
            patch=32,
            dataset=DatasetSettings(limit=IMAGES),
            attack=partial(PatchIFGSM, starts=2, steps=2),
            trainer=CPU,
            run=RunSettings(folder),
        )
    )


def _attacked_images(folder: Path) -> dict[str, Any]:
    files = (folder / "attacked").glob("[!.]*.png")
    # An image that is attacked again is written at another time.
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def _attacked(folder: Path) -> Any:
    if not (folder / "results.json").exists():
        return None
    result = json.loads((folder / "results.json").read_text())
    images = {name: content for name, (content, _) in _attacked_images(folder).items()}
    return [result[name] for name in ("n", "before", "after", "successes", "weights_sha256")], images


TASKS = {
    "training": Task(_train, _epochs, _trained),
    "evaluation": Task(evaluate_in, tables, evaluated),
    "attack": Task(_attack, _attacked_images, _attacked),
}


def write_at_once() -> None:
    """Write every table at once: a test can't wait for two seconds."""
    evaluation_module.TableStore = partial(TableStore, seconds=0.0)  # type: ignore[misc,assignment]
    store._COST, store._GROWTH = 0, 1 << 60


def _child(task: Task, folder: Path, sent: int, save: int | None) -> None:
    """Run a task; with ``save``, send the signal to the process itself in the middle of this write to the disk."""
    warnings.simplefilter("ignore")
    logging.disable()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    write_at_once()
    flush, count = os.fsync, 0

    def flush_or_die(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == save:
            os.kill(os.getpid(), sent)
        flush(descriptor)

    os.fsync = flush_or_die
    task.run(folder)


def start(task: Task, folder: Path, sent: int = 0, save: int | None = None) -> int:
    """Start a task in a forked process and return its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _child(task, folder, sent, save)
            status = 0
        except BaseException:
            # Beside the folder of the run, for the message of a failed test.
            (folder.parent / "error.txt").write_text(traceback.format_exc())
        finally:
            os._exit(status)
    return child


def _failed(folder: Path, what: str) -> str:
    error = folder.parent / "error.txt"
    return f"{what} failed: {error.read_text() if error.exists() else 'without an error'}"


def undisturbed(task: Task, folder: Path) -> tuple[Any, float]:
    """Run a task to its end; return its outcome and its duration in seconds."""
    began = time.monotonic()
    _, status = os.waitpid(start(task, folder), 0)
    assert status == 0, _failed(folder, "an undisturbed run")
    return task.outcome(folder), time.monotonic() - began


def kill_until_done(
    task: Task, folder: Path, expected: Any, seconds: float, draws: random.Random, most: int
) -> Counter[str]:
    """Kill a task at random moments, at most some times, let it end, and compare the outcome.

    Args:
        task: The task.
        folder: Folder of its run.
        expected: Outcome of an undisturbed run.
        seconds: Duration of an undisturbed run.
        draws: Random moments and signals.
        most: Largest number of kills.

    Returns:
        Number of kills by signal, those in the middle of a save, and of runs.
    """
    figures, before = Counter[str](), dict[str, Any]()
    while True:
        quiet = sum(figures.values()) >= most
        sent = draws.choice(SIGNALS)
        save = draws.randint(1, 12) if not quiet and draws.random() < 0.4 else None
        child = start(task, folder, sent, save)
        if not quiet and save is None:
            time.sleep(draws.random() * seconds)
            os.kill(child, sent)
        _, status = os.waitpid(child, 0)
        found = task.finished(folder)
        assert before.items() <= found.items(), "a finished part was lost or made again"
        before = found
        done = task.outcome(folder) is not None
        if status:
            assert done or not quiet, _failed(folder, "a run that nobody killed")
            figures["in a save" if save else "at any time"] += 1
            figures_by_signal[signal.Signals(sent).name] += 1
        if done:
            break
    assert task.outcome(folder) == expected, "the outcome differs from that of an undisturbed run"
    return figures


figures_by_signal = Counter[str]()


def kill(name: str, folder: Path, kills: int, draws: random.Random, most: int = 8) -> dict[str, int]:
    """Kill runs of a task until there were enough kills."""
    task, figures, runs = TASKS[name], Counter[str](), 0
    expected, seconds = undisturbed(task, folder / "undisturbed" / "run")
    assert expected is not None
    while sum(figures.values()) < kills:
        wanted = min(most, kills - sum(figures.values()))
        figures += kill_until_done(task, folder / str(runs) / "run", expected, seconds, draws, wanted)
        runs += 1
    return {"kills": sum(figures.values()), **figures, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="number of kills of each task")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for task in options.tasks:
            figures_by_signal.clear()
            began = time.monotonic()
            figures = kill(task, Path(name, task), options.kills, random.Random(options.seed))
            seconds = round(time.monotonic() - began)
            print(f"{task} killed:", {**figures, **figures_by_signal, "seconds": seconds}, flush=True)


if __name__ == "__main__":
    sys.exit(main())
