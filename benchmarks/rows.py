"""Ways to do the same work against each other, in turns."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.machine import Machine


@dataclass(frozen=True)
class Way:
    """One way to do a piece of work.

    Attributes:
        name: what it is called.
        work: does the work for a number of items, or a sample of it; returns mutants and floating point operations.
        items: number of images (or gradient steps) that ``work`` is about.
        scale: whole work by sample.
        sample: number of forward passes in the sample, or ``None`` if all of the work is done.
    """

    name: str
    work: Callable[[], tuple[float, float]]
    items: int
    scale: float = 1.0
    sample: int | None = None


@dataclass(frozen=True)
class Row:
    """What a way took, by item: medians over the rounds.

    Attributes:
        way: its name.
        mutants: labelled mutants (or masked sequences).
        gflops: floating point operations of matrix products, in 10^9.
        seconds: time.
        faster: time of the first way by that of this one, the median of such ratios within a round.
        of_peak: share of the machine's fastest matrix products.
        peak_mib: most memory in use meanwhile, in MiB; NaN where nobody counts.
        sample: forward passes that were timed and scaled, ``None``: nothing was.
    """

    way: str
    mutants: float
    gflops: float
    seconds: float
    faster: float
    of_peak: float
    peak_mib: float
    sample: int | None


def compare(
    ways: Sequence[Way], machine: Machine, rounds: int, finished: Callable[[], object] = lambda: None
) -> list[Row]:
    """Do the work in all ways, in turns, so many rounds; the first one warms up, unless it is the only one.

    Args:
        ways: the first one is the reference.
        machine: does it.
        rounds: at least one.
        finished: called after every piece of work.
    """
    peak = machine.peak_flops
    measured: list[list[float]] = [[] for _ in ways]
    costs, memory = [(0.0, 0.0)] * len(ways), [0.0] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            machine.forget_peak_memory()
            with machine.arithmetic():
                taken, costs[number] = machine.timed(way.work)
            measured[number].append(taken * way.scale / way.items)
            memory[number] = machine.peak_mib()
            finished()
    measured = [times[min(1, rounds - 1) :] for times in measured]
    rows = []
    for way, times, cost, mib in zip(ways, measured, costs, memory, strict=True):
        seconds = statistics.median(times)
        mutants, flops = (value * way.scale / way.items for value in cost)
        faster = statistics.median(first / here for first, here in zip(measured[0], times, strict=True))
        rows.append(Row(way.name, mutants, flops / 1e9, seconds, faster, flops / seconds / peak, mib, way.sample))
    return rows
