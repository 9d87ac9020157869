"""Timing of methods that do the same work, in turns."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.machine import Machine
from mrcert_pl.results.schema import BenchmarkRow


@dataclass(frozen=True)
class Method:
    """One method to do some work.

    Attributes:
        name: Name in tables.
        work: Function that does the work or a sample of it; returns the numbers of mutants and of operations.
        items: Number of images (or gradient steps) in ``work``.
        scale: Whole work divided by the sample.
        sample: Number of forward passes in the sample; ``None`` if all of the work is done.
    """

    name: str
    work: Callable[[], tuple[float, float]]
    items: int
    scale: float = 1.0
    sample: int | None = None


def compare(
    part: str, methods: Sequence[Method], machine: Machine, rounds: int, finished: Callable[[], object] = lambda: None
) -> list[BenchmarkRow]:
    """Do the work by all methods, in turns; the first round warms up, unless it is the only one.

    Args:
        part: Part of the benchmark.
        methods: Methods; the first one is the reference.
        machine: Device and precision.
        rounds: Number of rounds, at least 1.
        finished: Callback after each timed work.
    """
    peak = machine.peak_flops
    measured: list[list[float]] = [[] for _ in methods]
    costs, memory = [(0.0, 0.0)] * len(methods), [0.0] * len(methods)
    for _ in range(rounds):
        for number, method in enumerate(methods):
            machine.forget_peak_memory()
            with machine.arithmetic():
                seconds, costs[number] = machine.timed(method.work)
            measured[number].append(seconds * method.scale / method.items)
            memory[number] = machine.peak_mib()
            finished()
    if rounds > 1:
        measured = [times[1:] for times in measured]
    rows = []
    for method, times, cost, mib in zip(methods, measured, costs, memory, strict=True):
        seconds = statistics.median(times)
        mutants, flops = (value * method.scale / method.items for value in cost)
        row = BenchmarkRow(
            part=part,
            method=method.name,
            mutants=mutants,
            gflops=flops / 1e9,
            seconds=seconds,
            faster=statistics.median(first / here for first, here in zip(measured[0], times, strict=True)),
            of_peak=flops / seconds / peak,
            peak_mib=None if math.isnan(mib) else mib,
            sample=method.sample,
        )
        rows.append(row)
    return rows
