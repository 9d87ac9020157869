"""Several jobs of the protocol at once, each in a process of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.processes import begun
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
    ``logs/<name>.log``. Whatever ends this process (Ctrl-C, SIGTERM) stops the running jobs.

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
    with _ending_on_sigterm():
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
                if not running:
                    # What is left needs something that is not planned.
                    break
                child, status = os.waitpid(-1, os.WNOHANG)
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
    """Begin a job with its part of the cores; return the number of its process."""

    def share() -> int:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
        return work(job)

    return begun(share, logs / f"{job.name.replace('/', '_')}.log")


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exit, so that no job outlives this process."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
