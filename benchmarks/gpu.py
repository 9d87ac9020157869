"""The GPU programme: tests, speed, training, certification and attacks on one GPU in at most nine minutes.

    benchmarks/gpu.sh WHEELS --root data --weights deit_tiny_patch16_224.safetensors --out outputs/gpu
    python -m benchmarks.gpu --tiny --out outputs/try              digits and tiny models on a CPU, to try it
    python -m benchmarks.gpu --list                                the steps and their limits

Each step is a process of its own with a limit of time: a step that fails or is stopped does not stop the next one.
``gpu.json`` is written again whenever a step has a figure, ``gpu.log`` has all that the steps print.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import Machine
from benchmarks.options import add_sources
from benchmarks.processes import begun
from benchmarks.protocol import FULL, TINY, Base, Images, Job, Protocol, jobs
from benchmarks.results import is_done, located, run
from benchmarks.throughput import Load, throughput
from mrcert_pl.cli.overrides import override
from mrcert_pl.defenders import MRCert
from mrcert_pl.files import write_json
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import ViTSRF
from mrcert_pl.results.runs import RESULTS, TRAINING
from mrcert_pl.results.schema import AttackResult, EvaluationResult, TrainingResult

ROOT = Path(__file__).resolve().parent.parent
WHOLE_SECONDS = 540.0
# Left of a step for the last batch and the end of its process.
_RESERVE = 4.0
_TRAINING_SECONDS = 120.0
# Of the time that is left for a second training; the rest is for its validation and copies of its weights.
_USED = 0.8

Keep = Callable[[Mapping[str, Any]], object]
"""Writes the figures of a step so far."""


@dataclass(frozen=True)
class Step:
    """One step of the programme.

    Attributes:
        name: Name in ``gpu.json``.
        seconds: Limit of time.
        work: Does the work; called with the time at which it must be over (``time.monotonic``).
    """

    name: str
    seconds: float
    work: Callable[[float, Keep], object]


@dataclass(frozen=True)
class Plan:
    """Sizes of the programme.

    Attributes:
        protocol: Data set, models and settings of trainings, evaluations and attacks; epochs are chosen by the time.
        bases: Base models to train and certify, by name.
        device: Device of the measurements of speed.
        model: Arguments of the ViT-SRF whose speed is measured.
        speed: Images, images per batch, and limit of seconds by patch size, precision and compilation.
        backend: Backend of ``torch.compile``.
    """

    protocol: Protocol
    bases: tuple[Base, ...]
    device: str
    model: Mapping[str, Any]
    speed: Mapping[tuple[int, str, bool], tuple[int, int, float]]
    backend: str


def plan(tiny: bool, root: Path | None, weights: Path | None, workers: int) -> Plan:
    """Return the sizes: those for a GPU, or tiny ones for a CPU."""
    whole = TINY if tiny else FULL
    bases = tuple(replace(base, strides={32: base.strides[32]}) for base in whole.bases if _is_trained(base))
    if tiny:
        small = {"backbone": "vit_tiny_patch16_224", "split": 1}
        small |= {"backbone_args": {"embed_dim": 16, "depth": 2, "num_heads": 2}}
        speed = {(32, "32-true", compiled): (2, 1, 60.0) for compiled in (False, True)}
        return Plan(replace(whole, bases=bases), bases, "cpu", small, speed, "eager")
    images = Images(
        "imagenette",
        8994,
        1000,
        16,
        (*whole.images[0].overrides, override("dataset.workers", workers)),
        whole.images[0].training,
    )
    protocol = replace(whole, images=(images,), bases=bases, overrides=("trainer=gpu", *whole.overrides))
    return Plan(
        located(protocol, root, weights),
        bases,
        "cuda",
        {"backbone": "vit_base_patch16_224", "split": 6},
        {
            (32, "bf16-mixed", False): (2048, 16, 28.0),
            # Compilation takes more than 28 s on an H200.
            (32, "bf16-mixed", True): (2048, 16, 75.0),
            (32, "32-true", False): (256, 8, 12.0),
            (16, "bf16-mixed", False): (512, 16, 12.0),
            (16, "32-true", False): (128, 8, 10.0),
        },
        "inductor",
    )


def _is_trained(base: Base) -> bool:
    return 32 in base.strides and base.attacked


def steps(made: Plan, runs: Path) -> list[Step]:
    """Return the steps in their order.

    Args:
        made: Sizes.
        runs: Folder of trainings, evaluations and attacks.
    """
    # The token grid first: it is the one that trains faster.
    bases = sorted(made.bases, key=lambda base: base.name)
    return [
        Step("tests", 40.0, gpu_tests),
        *(
            Step(
                f"speed_p{patch}_{precision}{'_compiled' if compiled else ''}",
                seconds,
                partial(speed, made, patch, precision, made.backend if compiled else None, images, batch),
            )
            for (patch, precision, compiled), (images, batch, seconds) in made.speed.items()
        ),
        *(Step(f"train_{base.name}", _TRAINING_SECONDS, partial(training, made, base, runs)) for base in bases),
        *(Step(f"certify_{base.name}", 35.0, partial(certification, made, base, runs)) for base in bases),
        Step("attack", 40.0, partial(attack, made, bases[0], runs)),
    ]


def gpu_tests(until: float, keep: Keep) -> None:
    """Run the tests that need a GPU; report their numbers by outcome, and the failures.

    Raises:
        RuntimeError: If a test failed.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", str(ROOT / "tests/gpu")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(ended.stdout, ended.stderr, flush=True)
    keep(outcomes(ended.stdout))
    if ended.returncode:
        raise RuntimeError(f"pytest ended with exit code {ended.returncode}; gpu.log has its output")


def outcomes(output: str) -> dict[str, Any]:
    """Return the numbers in the last line of pytest's output, and the names of tests that failed."""
    lines = output.strip().splitlines()
    numbers = re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1] if lines else "")
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {**{kind: int(number) for number, kind in numbers}, "failures": failures}


def speed(
    made: Plan, patch: int, precision: str, backend: str | None, images: int, batch: int, until: float, keep: Keep
) -> None:
    """Measure images per second of full tables and verdicts of MRCert, round trip included."""
    model = ViTSRF(**made.model, num_classes=1000).eval().to(made.device)
    defender = MRCert()
    lattice = defender.mutants(model, PatchSpec(patch, defender.patches))
    machine = Machine(torch.device(made.device), precision)
    throughput(model, lattice, defender, machine, Load(images, batch, until - _RESERVE, backend), keep)


def training(made: Plan, base: Base, runs: Path, until: float, keep: Keep) -> None:
    """Train for one epoch, then anew for as many as fit into the time that is left.

    Raises:
        RuntimeError: If a training failed.
    """
    trained: dict[str, Any] = {}
    epochs = 1
    for name in ("one", "more"):
        began = time.monotonic()
        job = _jobs(made, base, runs / name, epochs)["train"]
        _run([job], runs / name)
        seconds = time.monotonic() - began
        result = TrainingResult.read(runs / name / job.name / TRAINING)
        trained[name] = {"epochs": epochs, "seconds": seconds, "best_score": result.best_score}
        keep(trained)
        epochs = fitting_epochs(seconds, until - _RESERVE - time.monotonic())
        if epochs < 2:
            break


def fitting_epochs(one: float, left: float) -> int:
    """Return the number of epochs for the time that is left, where a whole training of one epoch took ``one``."""
    return max(0, int(_USED * left / one))


def certification(made: Plan, base: Base, runs: Path, until: float, keep: Keep) -> None:
    """Certify with two defenders and the weights of the longest training that has ended.

    Raises:
        RuntimeError: If no training has ended, or an evaluation failed.
    """
    folder, found = _trained(made, base, runs), {}
    for defender in ("mrcert", "mrcert_cascade"):
        job = _jobs(made, base, folder)[defender]
        _run([job], folder)
        result = EvaluationResult.read(folder / job.name / RESULTS)
        counts = {name: accuracy.count for name, accuracy in result.accuracy.items()}
        found[defender] = {"n": result.n, "seconds": result.seconds, "counts": counts}
        keep({"weights": folder.name, **found})


def attack(made: Plan, base: Base, runs: Path, until: float, keep: Keep) -> None:
    """Attack some images with the settings of the protocol.

    Raises:
        RuntimeError: If no training has ended, or the attack failed.
    """
    folder = _trained(made, base, runs)
    job = _jobs(made, base, folder)["attack"]
    began = time.monotonic()
    _run([job], folder)
    seconds = time.monotonic() - began
    result = AttackResult.read(folder / job.name / RESULTS)
    keep({"n": result.n, "seconds": seconds, "images_per_second": result.n / seconds, "settings": made.protocol.attack})


def _jobs(made: Plan, base: Base, out: Path, epochs: int = 1) -> dict[str, Job]:
    """Return the jobs of a base model: the training, the attack, and the evaluation with each defender."""
    epochs_of = {images.name: epochs for images in made.protocol.images}
    of_base = jobs(replace(made.protocol, bases=(base,), epochs=epochs_of), out)
    return {name: job for job in of_base if not (name := job.name.rpartition("/")[2]).startswith("attacked")}


def _trained(made: Plan, base: Base, runs: Path) -> Path:
    for name in ("more", "one"):
        if is_done(_jobs(made, base, runs / name)["train"], runs / name):
            return runs / name
    raise RuntimeError(f"no training of {base.name} has ended")


def _run(planned: Sequence[Job], out: Path) -> None:
    if failed := run(planned, out):
        raise RuntimeError(f"{failed[0]} failed; gpu.log has its output")


def perform(planned: Sequence[Step], out: Path, seconds: float = WHOLE_SECONDS) -> dict[str, Any]:
    """Do the steps one after the other; return their states and figures by name, as in ``gpu.json``.

    Args:
        planned: Steps.
        out: Folder of ``gpu.json`` and ``gpu.log``.
        seconds: Limit of all steps together.
    """
    out.mkdir(parents=True, exist_ok=True)
    whole = time.monotonic() + seconds
    record: dict[str, Any] = {}
    for step in planned:
        limit = min(step.seconds, whole - time.monotonic())
        if limit <= _RESERVE:
            record[step.name] = {"state": "not begun: the time is over"}
        else:
            record[step.name] = _performed(step, limit, out)
        print(f"{step.name}: {record[step.name]}", flush=True)
        write_json(out / "gpu.json", record)
    return record


def _performed(step: Step, limit: float, out: Path) -> dict[str, Any]:
    """Do one step in a process of its own, which is stopped with all that it has started when the time is over."""
    figures = out / f".{step.name}.json"
    began = time.monotonic()
    child = begun(partial(_done, step, began + limit, figures), out / "gpu.log")
    state = "stopped: the time was over"
    while time.monotonic() < began + limit:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            state = "done" if status == 0 else "failed"
            break
        time.sleep(0.05)
    else:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    found = json.loads(figures.read_text()) if figures.is_file() else {}
    figures.unlink(missing_ok=True)
    return {"state": state, "seconds": round(time.monotonic() - began, 1), "limit": limit, "figures": found}


def _done(step: Step, until: float, figures: Path) -> int:
    print(f"\n=== {step.name}", flush=True)
    step.work(until, lambda found: write_json(figures, found))
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu"), help="folder of gpu.json (%(default)s)")
    add_sources(parser, "imagenette/")
    parser.add_argument("--only", default="", metavar="PATTERN", help="regular expression of the steps to do")
    parser.add_argument("--workers", type=int, default=min(16, os.cpu_count() or 1), help="processes that load images")
    parser.add_argument("--tiny", action="store_true", help="digits and tiny models on a CPU, to try the programme")
    parser.add_argument("--list", action="store_true", help="print the steps and their limits; run nothing")
    options = parser.parse_args(arguments)
    made = plan(options.tiny, options.root, options.weights, options.workers)
    with tempfile.TemporaryDirectory() as runs:
        chosen = [step for step in steps(made, Path(runs)) if re.search(options.only, step.name)]
        if options.list:
            print("\n".join(f"{step.seconds:6.0f} s  {step.name}" for step in chosen))
            return
        record = perform(chosen, options.out)
    failed = [name for name, found in record.items() if found["state"] != "done"]
    print(f"{len(record) - len(failed)} of {len(record)} steps are done; {options.out / 'gpu.json'}")
    if failed:
        sys.exit(f"error: not done: {', '.join(failed)}; gpu.log has the reasons")


if __name__ == "__main__":
    main()
