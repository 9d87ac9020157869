"""Evaluations on two processes that are killed and resumed until they end, and compared with one on one process.

``python tests/faults/killed_ddp.py --kills 20`` runs and prints the figures of docs/reliability.md. Half of the kills
hit both processes, half of them one: the other one must end by itself. No part of the tests: each start takes seconds.
"""

import argparse
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from killed_tasks import evaluate_in, evaluated, tables, write_at_once

from mrcert_pl import TrainerSettings

IMAGES = 16
# After the death of one process the other one has this time to end.
_PATIENCE = 60.0
TWO = TrainerSettings(accelerator="cpu", devices=2, strategy="ddp", progress=False)


def start(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start an evaluation in a session of its own."""
    command = [sys.executable, __file__, "--evaluate", str(folder), *options]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet)


def processes(session: int) -> list[int]:
    """Processes of a session that belong to the evaluation, the first one first."""
    found = subprocess.run(["ps", "-o", "pid=", "-g", str(session)], capture_output=True, text=True, check=False)
    return sorted(int(word) for word in found.stdout.split())


def kill_after(running: "subprocess.Popen[bytes]", folder: Path, count: int, one: bool) -> bool:
    """Kill an evaluation once it has stored a number of tables; return whether it was still running.

    Raises:
        AssertionError: If the process that was left does not end by itself.
    """
    while running.poll() is None and len(list((folder / "mutants").glob("[!.]*.parquet"))) < count:
        time.sleep(0.005)
    if running.poll() is not None:
        return False
    if not one:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return True
    os.kill(processes(running.pid)[-1], signal.SIGKILL)
    try:
        running.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError("an evaluation goes on without one of its processes") from None
    finally:
        # Left from an evaluation that has ended in disorder.
        for process in processes(running.pid):
            os.kill(process, signal.SIGKILL)
    return True


def kill_until_done(folder: Path, expected: Any, draws: random.Random, most: int) -> Counter[str]:
    """Kill and resume an evaluation at most some times, let it end, and compare the outcome."""
    figures, before = Counter[str](), dict[str, Any]()
    while evaluated(folder) is None:
        left = [count for count in range(IMAGES) if count > len(before)]
        running = start(folder)
        one = draws.random() < 0.5
        if figures.total() < most and left:
            figures["one process" if one else "both"] += kill_after(running, folder, draws.choice(left[:6]), one)
        else:
            assert running.wait() == 0, "a run that nobody killed failed"
        found = tables(folder)
        assert before.items() <= found.items(), "a finished table was lost or made again"
        before = found
    assert evaluated(folder) == expected, "the outcome differs from that of an undisturbed run"
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.evaluate:
        warnings.simplefilter("ignore")
        logging.disable()
        write_at_once()
        evaluate_in(options.evaluate, *(() if options.one else (TWO,)), images=IMAGES)
        return
    figures, runs, began = Counter[str](), 0, time.monotonic()
    draws = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        assert start(Path(name, "expected/run"), "--one").wait() == 0
        expected = evaluated(Path(name, "expected/run"))
        while figures.total() < options.kills:
            figures += kill_until_done(
                Path(name, f"{runs}/run"), expected, draws, min(4, options.kills - figures.total())
            )
            runs += 1
    print("evaluations on two processes killed:", {**figures, "runs": runs, "seconds": round(time.monotonic() - began)})


if __name__ == "__main__":
    main()
