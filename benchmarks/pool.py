"""Several jobs of the protocol at once, each in a process of its own."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.protocol import Job

_POLL_SECONDS = 0.1


def run_at_once(
    planned: Sequence[Job],
    done: Callable[[Job], bool],
    work: Callable[[Job], int],
    logs: Path,
    count: int,
    until: float = float("inf"),
) -> list[str]:
    """Run jobs without a result, the first ones first; return the names of those that failed or were not run.

    A job begins when all that it needs is done and no running job shares its store. What a job prints goes to
    ``logs/<name>.log``.

    Args:
        planned: Jobs, each after those that it needs.
        done: Whether the result of a job is there.
        work: Runs a job; returns its exit code.
        logs: Folder of the output of each job.
        count: Number of processes.
        until: Time (``time.monotonic``) at which running jobs are stopped.
    """
    waiting = [job for job in planned if not done(job)]
    known = {job.name for job in planned}
    finished = known - {job.name for job in waiting}
    running: dict[int, tuple[Job, float]] = {}
    failed: list[str] = []
    try:
        while (waiting or running) and time.monotonic() < until:
            for job in list(waiting):
                busy = {other.shares for other, _ in running.values() if other.shares}
                if lost := [name for name in job.needs if name in failed]:
                    print(f"{job.name} is skipped: {lost[0]} failed", flush=True)
                    failed.append(job.name)
                    waiting.remove(job)
                elif len(running) < count and finished.issuperset(job.needs) and job.shares not in busy:
                    running[_begun(job, work, logs, count)] = job, time.monotonic()
                    waiting.remove(job)
            child, status = os.waitpid(-1, os.WNOHANG) if running else (0, 0)
            if not child:
                time.sleep(_POLL_SECONDS)
                continue
            job, began = running.pop(child)
            fine = status == 0 and done(job)
            (finished.add if fine else failed.append)(job.name)
            print(f"{job.name}: {'done' if fine else 'failed'} in {time.monotonic() - began:.0f} s", flush=True)
    finally:
        for child in running:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return [*failed, *(job.name for job, _ in running.values()), *(job.name for job in waiting)]


def _begun(job: Job, work: Callable[[Job], int], logs: Path, count: int) -> int:
    """Begin a job in a process of its own, with its share of the cores; return the number of the process."""
    log = logs / f"{job.name.replace('/', '_')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    status = 1
    try:
        os.setsid()
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
        status = work(job)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
