"""Run the missing jobs of the protocol of docs/results.md, and write its tables.

    python -m benchmarks.results --list                            what is missing, and its estimated cost
    python -m benchmarks.results --root data --weights deit_tiny_patch16_224.safetensors
    python -m benchmarks.results --only 'imagenette/masked_vit/*'  some jobs, with those that they need
    python -m benchmarks.results --tiny --out outputs/try          digits and tiny models, in minutes

Every job is a command of ``mrcert`` with a folder of its own. A job that has left its result is skipped; a killed one
continues after its last epoch, or with its first unlabelled image: start the script again with the same arguments.
The tables go to ``tables.md`` in the folder of the runs.
"""

import argparse
import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from itertools import groupby
from pathlib import Path

from benchmarks.options import jobs_parser
from benchmarks.pool import run_at_once
from benchmarks.protocol import FULL, TINY, Cell, Job, Protocol, cells, jobs, needed
from mrcert_pl.callbacks.whole_checkpoints import LAST
from mrcert_pl.cli import main as mrcert
from mrcert_pl.cli.overrides import override
from mrcert_pl.errors import MRCertError
from mrcert_pl.files import write_whole
from mrcert_pl.results.runs import RESULTS
from mrcert_pl.results.schema import EvaluationResult
from mrcert_pl.results.seeds import over_seeds
from mrcert_pl.results.statistics import wilson
from mrcert_pl.views.words import accuracy_text, percent

START, END = "<!-- tables of benchmarks/results.py -->\n", "<!-- end of tables -->\n"
# After Ctrl-C or SIGTERM no other job is begun.
_STOPPED = (130, 143)
_ACCURACIES = {"base": "base", "clean": "clean", "certified": "certified", "round_trip": "round trip"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    protocol = replace(TINY if options.tiny else FULL, seeds=tuple(dict.fromkeys(options.seeds)))
    out: Path = options.out.absolute()
    every = jobs(located(protocol, options.root, options.weights), out)
    chosen = [job.name for job in every if fnmatch(job.name, options.only)]
    if not chosen:
        sys.exit(f"error: no job has a name like {options.only}; --list prints all names")
    planned = needed(every, chosen)
    if options.list:
        print(listing(planned, out))
        return
    failed = run(planned, out, options.at_once)
    try:
        text = tables(protocol, out)
        print(write_whole(out / "tables.md", lambda file: file.write_text(text, encoding="utf-8"), "--out"))
        if options.page is not None:
            write_block(options.page, text)
    except MRCertError as error:
        sys.exit(f"error: {error}")
    if failed:
        sys.exit(f"error: {len(failed)} jobs are not finished, the first is {failed[0]}; the same command repeats them")


def _parser() -> argparse.ArgumentParser:
    parser = jobs_parser("benchmarks.results", __doc__, "jobs", "imagenette/ and cifar10/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds (default: 0)")
    parser.add_argument("--page", type=Path, help="page whose block of tables is replaced: docs/results.md")
    parser.add_argument("--tiny", action="store_true", help="digits and tiny models, to try the script")
    return parser


def located(protocol: Protocol, root: Path | None, weights: Path | None) -> Protocol:
    """Add the paths of images and weights on this machine."""
    images = protocol.images
    if root is not None:
        images = tuple(
            replace(each, overrides=(*each.overrides, override("dataset.root", str(root.absolute() / each.name))))
            for each in images
        )
    start = () if weights is None else (override("model.weights", str(weights.absolute())),)
    return replace(protocol, images=images, training=(*protocol.training, *start))


def is_done(job: Job, out: Path) -> bool:
    """Whether a job has left its result; results are complete files."""
    return (out / job.name / job.leaves).is_file()


def listing(planned: Sequence[Job], out: Path) -> str:
    """Return one line per job: state, estimated hours and name; the last line has the hours of all missing jobs."""
    lines, total, computed = [], 0.0, {job.shares for job in planned if job.shares and is_done(job, out)}
    for job in planned:
        done = is_done(job, out)
        seconds = 0.0 if done or job.shares in computed else job.seconds
        if job.shares:
            computed.add(job.shares)
        total += seconds
        lines.append(f"{'done' if done else 'missing':8}{seconds / 3600:8.2f} h  {job.name}")
    missing = sum(not is_done(job, out) for job in planned)
    return "\n".join(
        [*lines, f"{missing} of {len(planned)} jobs are missing: {total / 3600:.1f} h on one CPU thread (estimated)"]
    )


def run(planned: Sequence[Job], out: Path, at_once: int = 1, until: float = math.inf) -> list[str]:
    """Run the jobs without a result; return the names of those that failed or could not start.

    Args:
        planned: Jobs, each after those that it needs.
        out: Folder of all runs.
        at_once: Number of jobs at once, each in a process of its own that prints to ``logs/``.
        until: Time (``time.monotonic``) at which several jobs at once are stopped.
    """
    if at_once > 1:
        return run_at_once(
            planned,
            lambda job: is_done(job, out),
            lambda job: _mrcert(job, out / job.name),
            out / "logs",
            at_once,
            until,
        )
    failed: list[str] = []
    for number, job in enumerate(planned, start=1):
        if is_done(job, out):
            continue
        if missing := [name for name in job.needs if name in failed]:
            print(f"\n[{number} of {len(planned)}] {job.name} is skipped: {missing[0]} failed", flush=True)
            failed.append(job.name)
            continue
        print(f"\n[{number} of {len(planned)}] {job.name}", flush=True)
        if code := _mrcert(job, out / job.name):
            if code in _STOPPED:
                sys.exit(code)
            failed.append(job.name)
    return failed


def _mrcert(job: Job, folder: Path) -> int:
    """Run one command in this process; return its exit code."""
    last = folder / "checkpoints" / LAST
    resumed = [override("ckpt_path", str(last))] if job.command == "train" and last.is_file() else []
    before = sys.argv
    sys.argv = ["mrcert", job.command, *job.overrides, override("hydra.run.dir", str(folder)), *resumed]
    try:
        mrcert.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.argv = before
    return 0


def tables(protocol: Protocol, out: Path) -> str:
    """Return the tables of all results, and the number of rows without one.

    Raises:
        ResultsError: If a result is damaged.
    """
    parts, missing = [], 0
    for (dataset, attacked), rows in groupby(cells(protocol), key=lambda cell: (cell.images.name, cell.attacked)):
        names = [*_ACCURACIES, *(["adversarial_certified"] if attacked else [])]
        titles = [*_ACCURACIES.values(), *(["adversarial certified"] if attacked else [])]
        found = [_row(cell, names, out) for cell in rows]
        lines = [line for line in found if line is not None]
        missing += len(found) - len(lines)
        if not lines:
            continue
        parts.append(
            "\n".join(
                [
                    f"**{dataset}{', attacked images' if attacked else ''}**\n",
                    f"| patch | base model | defender | n | {' | '.join(titles)} |",
                    f"| --- | --- | --- | ---: | {' | '.join('---:' for _ in titles)} |",
                    *lines,
                    "",
                ]
            )
        )
    parts.append(f"Not run: {missing} of {len(cells(protocol))} rows (`--list` names them).\n")
    return "\n".join(parts)


def _row(cell: Cell, names: Collection[str], out: Path) -> str | None:
    files = [file for name in cell.jobs if (file := out / name / RESULTS).is_file()]
    results = [EvaluationResult.read(file) for file in files]
    if not results:
        return None
    figures = _figures(results, names)
    return f"| {' | '.join([f'{cell.patch} px', cell.base.title, cell.defender, str(results[0].n), *figures])} |"


def _figures(results: Sequence[EvaluationResult], names: Collection[str]) -> list[str]:
    """Return accuracies with the number of images and Wilson's interval, or with the deviation over seeds."""
    first = results[0]
    absent = {"round_trip"} if first.round_trip_note else set()
    if len(results) > 1:
        (mean,) = over_seeds(results)
        return ["-" if name in absent else accuracy_text(mean.accuracy.get(name), mean.n) for name in names]
    texts = []
    for name in names:
        accuracy = first.accuracy.get(name)
        if name in absent or accuracy is None or not accuracy.n:
            texts.append("-")
            continue
        low, high = wilson(accuracy.count, accuracy.n)
        of = "" if accuracy.n == first.n else f" of {accuracy.n}"
        texts.append(
            f"{percent(accuracy.count / accuracy.n)} ({accuracy.count}{of}; {100 * low:.0f} to {100 * high:.0f})"
        )
    return texts


def write_block(page: Path, text: str) -> None:
    """Replace the text between the two comments of a page."""
    content = page.read_text(encoding="utf-8")
    if START not in content or END not in content:
        sys.exit(f"error: {page} has no block of tables; it starts with {START.strip()} and ends with {END.strip()}")
    before, rest = content.split(START)
    after = rest.split(END)[1]
    page.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
