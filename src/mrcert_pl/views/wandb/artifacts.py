"""Artifacts between runs: data set -> checkpoint -> attacked set -> evaluation."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mrcert_pl.errors import ResultsError

_OUTCOME = ("config.yaml", "*.json", "verdicts.parquet", "locations.npz", "breaks/*.npz")


@dataclass(frozen=True)
class Artifact:
    """An input or an output of a run.

    W&B identifies an artifact by the digest of its content, so the same artifact named by two runs is one artifact with
    one version. This joins the runs without a server.

    Attributes:
        kind: Type of the artifact: ``dataset``, ``model``, ``attacked``, ``mutants``, ``results``.
        name: Its name; characters that W&B does not allow in one become dashes.
        facts: Its metadata; no part of the digest.
        texts: Small files that are made for it, by name.
        files: Files that are sent along, by name.
        references: Files and folders that are not sent, by name; their digests are.
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
            raise ResultsError(f"W&B cannot record {', '.join(missing)}, which does not exist")


@dataclass(frozen=True)
class Artifacts:
    """The lineage of a run.

    Attributes:
        used: Inputs.
        made: Outputs.
    """

    used: tuple[Artifact, ...] = ()
    made: tuple[Artifact, ...] = ()


class ImageRecord(Protocol):
    """An image of a data set (``mrcert_pl.data.Record``)."""

    @property
    def id(self) -> int: ...

    @property
    def label(self) -> int: ...

    @property
    def path(self) -> str: ...


def dataset_artifact(name: str, split: str, records: Iterable[ImageRecord]) -> Artifact:
    """The images of a split, by their ids, labels and paths.

    Args:
        name: Name of the data set.
        split: Name of the split.
        records: Its images.
    """
    lines = [f"{record.id} {record.label} {record.path}\n" for record in records]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    facts = {"dataset": name, "split": split, "images": len(lines), "records_sha256": digest}
    return Artifact("dataset", f"{name}-{split}", facts, texts={"images.json": json.dumps(facts, indent=2)})


def checkpoint_artifact(path: Path, origin: Mapping[str, Any], weights_sha256: str | None = None) -> Artifact:
    """A checkpoint, which stays where it is.

    Args:
        path: Its file.
        origin: Its origin, from the checkpoint itself.
        weights_sha256: Digest of its weights, if known.
    """
    known = [origin[name] for name in ("dataset", "name", "stage") if origin.get(name) not in (None, "one")]
    patch = [f"p{origin['patch']}"] if "patch" in origin else []
    facts = {name: origin[name] for name in ("dataset", "model", "patch", "seed", "stage") if name in origin}
    return Artifact(
        "model",
        "-".join(map(str, [*known, *patch])) or path.stem,
        {**facts, "weights_sha256": weights_sha256, "path": str(path.resolve())},
        references={f"checkpoint{path.suffix}": path},
    )


def attacked_artifact(folder: Path, header: Mapping[str, Any]) -> Artifact:
    """An attacked set, whose images stay where they are.

    Args:
        folder: Its folder.
        header: Its header, ``attack.json``.
    """
    facts = {name: header[name] for name in ("dataset", "attack", "weights_sha256", "precision", "device")}
    return Artifact(
        "attacked",
        f"{header['dataset']}-attacked-p{header['made_from']['patch']}",
        {**facts, "images": len(header["images"]), "path": str(folder.resolve())},
        references={"attacked": folder},
    )


def tables_artifact(folder: Path, name: str, weights_sha256: str) -> Artifact:
    """Stored tables of mutants, which stay where they are.

    Args:
        folder: Folder of the store.
        name: Name of the evaluation.
        weights_sha256: Digest of the weights that labelled the mutants.
    """
    facts = {"weights_sha256": weights_sha256, "path": str(folder.resolve())}
    return Artifact("mutants", f"{name}-mutants", facts, references={"mutants": folder})


def outcome_artifact(run_dir: Path, name: str, facts: Mapping[str, Any]) -> Artifact:
    """The configuration of a run and the files of its result.

    Args:
        run_dir: Folder of the run.
        name: Name of the run.
        facts: Its numbers.
    """
    files = {str(path.relative_to(run_dir)): path for pattern in _OUTCOME for path in sorted(run_dir.glob(pattern))}
    return Artifact("results", name, facts, files=files)
