"""Checkpoint or store from which a stopped training or evaluation is resumed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.callbacks.whole_checkpoints import LAST, PREVIOUS
from mrcert_pl.errors import CheckpointError, ResultsError, differences
from mrcert_pl.files import write_json
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.mutants.store import newest_store
from mrcert_pl.tasks.runtime import log

_RECORD = "settings.json"


def checkpoint_to_resume(resume: str | None, identity: Mapping[str, Any], folder: Path) -> Path | None:
    """Return the checkpoint to resume.

    Args:
        resume: ``None``, a file, or ``last`` for the newest run beside ``folder`` whose settings agree.
        identity: settings that must equal those of the earlier run.
        folder: folder of this run, or of the resumed one.

    Raises:
        CheckpointError: for a missing checkpoint, or one of a run with other settings.
    """
    if resume is None:
        return None
    if resume != "last":
        path = Path(resume)
        if not path.is_file():
            raise CheckpointError(f"there is no checkpoint {path} to resume; ckpt_path=last takes the newest one")
        found = [path]
    else:
        runs = folder.parent
        both = [*runs.glob(f"*/checkpoints/{LAST}"), *runs.glob(f"*/checkpoints/{PREVIOUS}")]
        # Within one run last.ckpt comes first; both files may have the same time stamp.
        found = sorted(both, key=lambda path: (-path.stat().st_mtime, path.name))
        if not found:
            raise CheckpointError(
                f"there is no training to resume in {runs}: no run has finished an epoch there; "
                "start one without ckpt_path"
            )
    fitting = [path for path in found if not _differences(identity, path)]
    if not fitting:
        raise CheckpointError(
            f"{found[0]} belongs to a training with other settings:\n  "
            + "\n  ".join(_differences(identity, found[0]))
            + "\ngive the settings that it was started with, or start a new training without ckpt_path"
        )
    return _first_readable(fitting)


def own_checkpoint(folder: Path) -> str | None:
    """Return the last checkpoint in the folder of a run, ``None`` before its first epoch is finished."""
    path = folder / "checkpoints" / LAST
    return str(path) if path.is_file() else None


def _first_readable(checkpoints: Sequence[Path]) -> Path:
    """Return the first undamaged checkpoint, and log the damaged ones.

    Raises:
        CheckpointError: if all are damaged.
    """
    for path in checkpoints:
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            if path == checkpoints[-1]:
                raise
            log.warning("%s is skipped: %s", path, str(error).splitlines()[0])
        else:
            return path
    raise CheckpointError("there is no checkpoint to resume")


def record_settings(folder: Path, identity: Mapping[str, Any]) -> None:
    """Write the settings that a resumed training must have to the run folder."""
    write_json(folder / _RECORD, identity)


def run_of(checkpoint: Path) -> Path | None:
    """Return the folder of the run that a checkpoint belongs to, ``None`` for one that was copied elsewhere."""
    run = checkpoint.parent.parent
    return run if checkpoint.parent.name == "checkpoints" and (run / _RECORD).is_file() else None


def _differences(identity: Mapping[str, Any], checkpoint: Path) -> list[str]:
    """Return the settings of a checkpoint's run that differ from these, in words."""
    run = run_of(checkpoint)
    if run is None:
        return []
    try:
        recorded = json.loads((run / _RECORD).read_text())
        if not isinstance(recorded, dict):
            raise ValueError("not a table of settings")
    except (OSError, ValueError) as error:
        return [f"its settings in {run / _RECORD} cannot be read ({error})"]
    return differences(recorded, json.loads(json.dumps(identity)), "there")


def store_folder(store: str | Path | None, run_folder: Path, name: str = "mutants") -> Path:
    """Return the folder of a store.

    Args:
        store: ``None`` for the run's own, a folder, or ``last`` for that of the newest earlier run.
        run_folder: folder of the run; earlier ones are beside it.
        name: name of the store in the folder of a run.

    Raises:
        ResultsError: if there is no earlier run.
    """
    if store is None:
        return run_folder / name
    if store != "last":
        return Path(store)
    runs = run_folder.parent
    if (found := newest_store(runs, name)) is None:
        raise ResultsError(f"there is no earlier run to resume in {runs}; start one without store=last")
    return found
