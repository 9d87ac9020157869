"""Results on disk: the documents of commands, and the files beside them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from mrcert_pl.errors import ResultsError
from mrcert_pl.results.codec import Document, parse, read_bytes
from mrcert_pl.results.locations import Locations, read_locations
from mrcert_pl.results.schema import (
    AttackResult,
    BenchmarkResult,
    CertificateAuditResult,
    EvaluationResult,
    NumericsResult,
    VerdictRow,
)
from mrcert_pl.results.verdicts import read_verdicts

DocumentT = TypeVar("DocumentT", bound=Document)
ItemT = TypeVar("ItemT")

RESULTS, VERDICTS, LOCATIONS = "results.json", "verdicts.parquet", "locations.npz"
CERTIFICATES, NUMERICS, BENCHMARK, TRAINING = "certificates.json", "numerics.json", "bench.json", "training.json"
THRESHOLDS = "thresholds.json"
CONTACT_SHEET = "contact_sheet.png"

_ADVICE = "mrcert eval makes them"


@dataclass(frozen=True)
class Run(Generic[DocumentT]):
    """A result and its file.

    Attributes:
        file: File of the result.
        result: Its content.
    """

    file: Path
    result: DocumentT

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.file.parent

    @property
    def contact_sheet(self) -> Path | None:
        """Image file of the contact sheet, if the run left one."""
        file = self.folder / CONTACT_SHEET
        return file if file.exists() else None


class EvaluationRun(Run[EvaluationResult]):
    """An evaluation and the files beside its result."""

    def verdicts(self) -> list[VerdictRow]:
        """Read the rows of ``verdicts.parquet``.

        Raises:
            ResultsError: If the file is missing or damaged.
        """
        return read_verdicts(self.folder / VERDICTS)

    def locations(self) -> Locations | None:
        """Read the maps of ``locations.npz``; ``None`` if the defender left none.

        Raises:
            ResultsError: If the file is damaged.
        """
        file = self.folder / LOCATIONS
        return read_locations(file) if file.exists() else None

    def drawings(self) -> Mapping[int, Path]:
        """Image files of drawn verdicts, by the ids of their images."""
        files = [path for name in ("images", "pictures", "examples") for path in self.folder.glob(f"{name}/*.png")]
        return {int(file.stem): file for file in files if file.stem.isdecimal()}


@dataclass(frozen=True)
class Leftovers:
    """Results of other commands beside the evaluations.

    Attributes:
        attacks, certificate_audits, numerics, benchmarks: Runs of each command, oldest first.
    """

    attacks: tuple[Run[AttackResult], ...] = ()
    certificate_audits: tuple[Run[CertificateAuditResult], ...] = ()
    numerics: tuple[Run[NumericsResult], ...] = ()
    benchmarks: tuple[Run[BenchmarkResult], ...] = ()


def read_run(file: Path) -> EvaluationRun | Run[AttackResult]:
    """Read a ``results.json``: that of an evaluation or of an attack.

    Raises:
        ResultsError: If it is missing, damaged or something else.
    """
    content = parse(read_bytes(file), file, EvaluationResult.COMMAND)
    if _is_attack(content):
        return Run(file, AttackResult.from_plain(content, file))
    return EvaluationRun(file, EvaluationResult.from_plain(content, file))


def find_runs(paths: Iterable[Path], damaged: list[ResultsError] | None = None) -> list[EvaluationRun]:
    """Find the evaluations at or below some paths, oldest first.

    Args:
        paths: Files and folders.
        damaged: Receives an error for each result that cannot be read, which is then left out.

    Raises:
        ResultsError: If a path does not exist, a result is damaged, or there is no evaluation.
    """
    paths = list(paths)
    if missing := [str(path) for path in paths if not path.exists()]:
        raise ResultsError(f"there is no {', '.join(missing)}; an evaluation (mrcert eval) makes results in outputs/")
    if others := [str(path) for path in paths if path.is_file() and path.name != RESULTS]:
        raise ResultsError(f"{', '.join(others)} is no {RESULTS}; name that of an evaluation, or a folder")
    found = _readable(_files(paths, RESULTS), read_run, damaged)
    runs = [run for run in found if isinstance(run, EvaluationRun)]
    if not runs and damaged:
        raise damaged[0]
    if not runs:
        raise ResultsError(f"there are no evaluations in {', '.join(map(str, paths))}; {_ADVICE}")
    return runs


def one_run(path: Path) -> EvaluationRun:
    """Find the only evaluation at or below a path.

    Raises:
        ResultsError: If there is none, or more than one, naming them.
    """
    runs = find_runs([path])
    if len(runs) > 1:
        found = "\n  ".join(f"{run.folder}: {run.result.defender}" for run in runs)
        raise ResultsError(f"{path} has {len(runs)} evaluations; name one of them:\n  {found}")
    return runs[0]


def find_leftovers(paths: Iterable[Path], damaged: list[ResultsError] | None = None) -> Leftovers:
    """Find the results of attacks, audits and benchmarks at or below some paths.

    Args:
        paths: Files and folders.
        damaged: Receives an error for each result that cannot be read, which is then left out.

    Raises:
        ResultsError: If one is damaged.
    """
    paths = list(paths)
    both = _readable(_files(paths, RESULTS), read_run, damaged)

    def of(name: str, kind: type[DocumentT]) -> tuple[Run[DocumentT], ...]:
        return tuple(_readable(_files(paths, name), lambda file: Run(file, kind.read(file)), damaged))

    return Leftovers(
        tuple(run for run in both if not isinstance(run, EvaluationRun)),
        of(CERTIFICATES, CertificateAuditResult),
        of(NUMERICS, NumericsResult),
        of(BENCHMARK, BenchmarkResult),
    )


def _readable(files: Iterable[Path], read: Callable[[Path], ItemT], damaged: list[ResultsError] | None) -> list[ItemT]:
    """Read files; an error goes to ``damaged``, if given, in place of its result."""
    found = []
    for file in files:
        try:
            found.append(read(file))
        except ResultsError as error:
            if damaged is None:
                raise
            damaged.append(error)
    return found


def read_deltas(path: Path, weights_sha256: str) -> Mapping[str, float]:
    """Read the largest differences of logits by precision (the ``δ`` of docs/theory.md, Theorem 6).

    Args:
        path: File of ``mrcert audit numerics``.
        weights_sha256: Digest of the weights that it must be about.

    Raises:
        ResultsError: If it cannot be read, is something else, or is about other weights.
    """
    numerics = NumericsResult.read(path)
    if numerics.weights_sha256 != weights_sha256:
        raise ResultsError(
            f"{path} is about other weights ({numerics.weights_sha256[:12]}..., not {weights_sha256[:12]}...); "
            "mrcert audit numerics with the same checkpoint= makes one"
        )
    return numerics.delta


def _is_attack(content: object) -> bool:
    if not isinstance(content, dict):
        return False
    # Version 1 does not name its kind.
    return content.get("kind") == AttackResult.KIND or ("kind" not in content and "attacked" in content)


def _files(paths: Iterable[Path], name: str) -> list[Path]:
    """The regular files of this name at or below some paths, oldest first."""
    found = {file for path in paths for file in ([path] if path.name == name else path.rglob(name))}
    # A pipe would be read without an end.
    return sorted((file for file in found if file.is_file()), key=lambda file: (file.stat().st_mtime, str(file)))
