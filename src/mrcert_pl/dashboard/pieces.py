"""What runs hand to each other: data set -> checkpoint -> attacked set -> evaluation."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcert_pl.data import AttackedSetHeader
from mrcert_pl.errors import ResultsError


@dataclass(frozen=True)
class Piece:
    """One thing that a run takes or leaves, to become an artifact.

    An artifact is known by the digest of its content, so the same piece named by two runs is one artifact with one
    version, which is what joins the runs: no run has to know another one, or a server.

    Attributes:
        kind: type of the artifact: ``dataset``, ``model``, ``attacked``, ``mutants``, ``results``.
        name: its name; characters that W&B doesn't allow in one become dashes.
        facts: its metadata; no part of the digest.
        texts: small files that are made for it, by name.
        files: files that are sent along, by name.
        references: files and folders that stay where they are, by name; their digests are sent.
    """

    kind: str
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    references: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", re.sub(r"[^\w.-]+", "-", self.name, flags=re.ASCII).strip("-"))
        missing = [str(path) for path in [*self.files.values(), *self.references.values()] if not path.exists()]
        if missing:
            raise ResultsError(f"W&B was to be told of {', '.join(missing)}, which is not there")


def dataset_piece(name: str, split: str, records: Iterable[Any]) -> Piece:
    """The images of a split, by their ids, labels and paths.

    Args:
        name: of the data set.
        split: which of its images.
        records: :class:`mrcert_pl.data.Record` of each image.
    """
    lines = [f"{record.id} {record.label} {record.path}\n" for record in records]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    facts = {"dataset": name, "split": split, "images": len(lines), "records_sha256": digest}
    return Piece("dataset", f"{name}-{split}", facts, texts={"images.json": json.dumps(facts, indent=2)})


def checkpoint_piece(path: Path, origin: Mapping[str, Any], weights_sha256: str | None = None) -> Piece:
    """A checkpoint, which stays where it is.

    Args:
        path: the file.
        origin: what the checkpoint says about itself.
        weights_sha256: digest of its weights, whatever file they are in, if it is known.
    """
    known = [origin[key] for key in ("dataset", "name", "stage") if origin.get(key) not in (None, "one")]
    patch = [f"p{origin['patch']}"] if "patch" in origin else []
    facts = {key: origin[key] for key in ("dataset", "model", "patch", "seed", "stage") if key in origin}
    return Piece(
        "model",
        "-".join(map(str, [*known, *patch])) or path.stem,
        {**facts, "weights_sha256": weights_sha256, "path": str(path.resolve())},
        references={f"checkpoint{path.suffix}": path},
    )


def attacked_piece(folder: Path, header: AttackedSetHeader) -> Piece:
    """An attacked set, whose images stay where they are.

    Args:
        folder: of the set.
        header: its header, ``attack.json``.
    """
    facts = {key: getattr(header, key) for key in ("attack", "weights_sha256", "precision", "device")}
    return Piece(
        "attacked",
        f"{header.source}-attacked-p{header.patch}",
        {"dataset": header.source, **facts, "images": len(header.images), "path": str(folder.resolve())},
        references={"attacked": folder},
    )


def tables_piece(folder: Path, name: str, weights_sha256: str) -> Piece:
    """The labels of mutants, which stay where they are.

    Args:
        folder: of the store.
        name: of what they are about.
        weights_sha256: digest of the weights that labelled them.
    """
    facts = {"weights_sha256": weights_sha256, "path": str(folder.resolve())}
    return Piece("mutants", f"{name}-mutants", facts, references={"mutants": folder})


def outcome_piece(run_dir: Path, name: str, facts: Mapping[str, Any]) -> Piece:
    """The configuration of a run and the files that it leaves as its result.

    Args:
        run_dir: folder of the run.
        name: of the run.
        facts: its figures.
    """
    wanted = ("config.yaml", "*.json", "verdicts.parquet", "locations.npz", "breaks/*.npz")
    files = {str(path.relative_to(run_dir)): path for pattern in wanted for path in sorted(run_dir.glob(pattern))}
    return Piece("results", name, facts, files=files)
