"""Mutation testing: change one operator, constant or condition of a source file at a time and run its tests.

    python benchmarks/mutation.py --sample 40
    python benchmarks/mutation.py --packages geometry verification

A mutant is killed if the mirrored test files of its module (``src/mrcert_pl/a/b.py``: ``tests/a/test_*b*.py``, then all
of ``tests/a``, for rules ``tests/guarantees`` too) fail. Survivors, and mutants whose tests exceed the time limit, are
listed with the change. Those that ``equivalent_mutants.json`` lists with a reason (and a part of the line, where the
change alone says too little) are counted apart: no test can tell them from the original. With ``--out`` the outcomes
are kept, one line each: a run that was stopped goes on, and one that has ended runs its survivors again.
"""

import argparse
import ast
import copy
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import beartype  # noqa: F401  # imported once, before the tests are forked
import lightning  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import timm  # noqa: F401
import torch
import torchmetrics  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).parent / "equivalent_mutants.json"
PACKAGES = ("geometry", "defenders", "metrics", "verification")
_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutant:
    """One change of a source file.

    Attributes:
        file: Source file below ``src/mrcert_pl``.
        number: Position among the mutants of the file.
        line: Line of the change.
        before: Source of the changed expression.
        after: Source after the change.
    """

    file: str
    number: int
    line: int
    before: str
    after: str


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield changed copies of a node."""
    changed: Any = copy.deepcopy(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        changed.ops[0] = _COMPARISONS[type(node.ops[0])]()
        yield changed
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and not _is_type(node):
        changed.op = _OPERATORS[type(node.op)]()
        yield changed
    elif isinstance(node, ast.BoolOp):
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield changed
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert, ast.USub)):
        yield changed.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS:
        changed.func.attr = _CALLS[node.func.attr]
        yield changed


# The lengths are equal by construction; the line that a warning names.
_UNTESTED_KEYWORDS = ("strict", "stacklevel")
_CALLS = {"any": "all", "all": "any", "min": "max", "max": "min", "argmax": "argmin", "ceil": "floor"}


def _is_type(node: ast.BinOp) -> bool:
    """Whether ``|`` joins types, as in ``int | None``."""
    parts = [part for part in ast.walk(node) if isinstance(part, (ast.Name, ast.Constant))]
    names = {part.id if isinstance(part, ast.Name) else part.value for part in parts}
    return isinstance(node.op, ast.BitOr) and bool(names & {None, "int", "str", "float", "bool", "tuple", "Path"})


class _Replace(ast.NodeTransformer):
    """Make the change with a number; count the possible ones."""

    def __init__(self, number: int = -1) -> None:
        self.number, self.found = number, list[tuple[int, str, str]]()

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            # Only what runs: no annotations, decorators or texts.
            node.body = [self.visit(part) for part in node.body]  # type: ignore[misc]  # statements stay statements
            return node
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.AnnAssign, ast.Import, ast.ImportFrom)):
            return node
        if isinstance(node, ast.keyword) and node.arg in _UNTESTED_KEYWORDS:
            return node
        for changed in changes(node):
            self.found.append((getattr(node, "lineno", 0), ast.unparse(node), ast.unparse(changed)))
            if len(self.found) - 1 == self.number:
                return ast.copy_location(changed, node)
        return super().generic_visit(node)


def mutants(file: Path) -> list[Mutant]:
    """List all mutants of a source file."""
    listed = _Replace()
    listed.visit(ast.parse(file.read_text()))
    name = str(file.relative_to(ROOT / "src" / "mrcert_pl"))
    return [Mutant(name, number, *change) for number, change in enumerate(listed.found)]


def mutated(file: Path, number: int) -> str:
    """Source of a file with one change."""
    return ast.unparse(ast.fix_missing_locations(_Replace(number).visit(ast.parse(file.read_text()))))


def tests_of(name: str) -> list[str]:
    """Test files of a module, those that carry its name first."""
    package, stem = Path(name).parts[0], Path(name).stem
    files = sorted((ROOT / "tests" / package).glob("test_*.py"), key=lambda file: (stem not in file.stem, file.stem))
    # Every move of an attacker against the rules, and the rules against their second implementation.
    games = (
        sorted((ROOT / "tests" / "guarantees").glob("test_*.py")) if package in ("defenders", "verification") else []
    )
    return [str(file) for file in [*files, *games]]


def outcome(mutant: Mutant, copy_of: Path, seconds: float) -> str:
    """Run the tests on a copy of the package with one change: ``killed``, ``survived`` or ``timeout``."""
    target = copy_of / "mrcert_pl" / mutant.file
    original = target.read_text()
    target.write_text(mutated(ROOT / "src" / "mrcert_pl" / mutant.file, mutant.number))
    try:
        return tested(tests_of(mutant.file), copy_of, seconds)
    finally:
        target.write_text(original)


def tested(files: list[str], copy_of: Path, seconds: float) -> str:
    """Run test files in a process of their own: ``killed`` if one fails, ``survived`` or ``timeout``."""
    child = os.fork()
    if child == 0:
        _run_tests(files, copy_of)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "killed" if status else "survived"
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def _run_tests(files: list[str], copy_of: Path) -> NoReturn:
    """Run test files in a forked process, which has imported all dependencies and nothing of the package."""
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.chdir(ROOT)
        sys.path.insert(0, str(copy_of))
        # Plugins that are imported before the tests are forked cannot be rewritten.
        quiet = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = int(pytest.main(["-x", *quiet, *files]))
    finally:
        os._exit(status)


def main() -> None:
    """Run mutants and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", nargs="+", default=PACKAGES)
    parser.add_argument("--sample", type=int, help="number of mutants, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=300.0, help="time limit of one mutant (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="file for the outcomes, one JSON line each")
    options = parser.parse_args()
    files = [file for package in options.packages for file in (ROOT / "src" / "mrcert_pl" / package).glob("*.py")]
    every = [mutant for file in sorted(files) for mutant in mutants(file)]
    chosen = every if options.sample is None else random.Random(options.seed).sample(every, options.sample)
    listed = json.loads(EQUIVALENT.read_text())
    known = _outcomes(options.out)
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True
    outcomes, started = Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        # The package finds its configurations beside its sources.
        copy_of = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy_of)
        shutil.copytree(ROOT / "conf", Path(folder) / "conf")
        # Tests that fail anyway would kill every mutant.
        for package in options.packages:
            if (kind := tested(tests_of(f"{package}/"), copy_of, 10 * options.seconds)) != "survived":
                sys.exit(f"the tests of {package} fail without a change ({kind})")
        for done, mutant in enumerate(chosen, start=1):
            if any(_is_listed(mutant, one) for one in listed):
                kind = "equivalent"
            elif (kind := known.get(mutant, "")) == "":
                kind = outcome(mutant, copy_of, options.seconds)
                if options.out:
                    with options.out.open("a") as lines:
                        lines.write(json.dumps({**asdict(mutant), "outcome": kind}) + "\n")
            outcomes[kind] += 1
            if kind not in ("killed", "equivalent"):
                print(f"{kind}: {mutant.file}:{mutant.line}: {mutant.before} -> {mutant.after}", flush=True)
            print(f"{done}: {dict(outcomes)} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    ended = outcomes["killed"] + outcomes["timeout"]
    share = ended / max(1, len(chosen) - outcomes["equivalent"])
    print(f"{len(every)} mutants, {len(chosen)} run: {dict(outcomes)}; {share:.1%} of those not equivalent are killed")


def _outcomes(file: Path | None) -> dict[Mutant, str]:
    """Mutants that an earlier run of the same sources has killed."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    found = [json.loads(line) for line in lines]
    killed = [one for one in found if one.pop("outcome") == "killed"]
    return {Mutant(**one): "killed" for one in killed}


def _is_listed(mutant: Mutant, one: dict[str, str]) -> bool:
    line = (ROOT / "src" / "mrcert_pl" / mutant.file).read_text().splitlines()[mutant.line - 1]
    same = (mutant.file, mutant.before, mutant.after) == (one["file"], one["before"], one["after"])
    return same and one.get("line", "") in line


if __name__ == "__main__":
    main()
