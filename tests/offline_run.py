"""Reads the file of an offline W&B run: its own protobuf records, in the log format of LevelDB around them."""

import json
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_BLOCK = 32768
_FILE_HEADER, _RECORD_HEADER = 7, 7


def records(file: Path) -> Iterator[Any]:
    """The records of a ``run-*.wandb``, in the order in which they were written."""
    content, place, parts = file.read_bytes(), _FILE_HEADER, []
    assert content[:4] in (b":W&B", b"")
    while place + _RECORD_HEADER <= len(content):
        if (left := _BLOCK - place % _BLOCK) < _RECORD_HEADER:
            place += left
            continue
        checksum, length, kind = struct.unpack("<IHB", content[place : place + _RECORD_HEADER])
        part = content[place + _RECORD_HEADER : place + _RECORD_HEADER + length]
        if len(part) < length:
            return
        assert zlib.crc32(bytes([kind]) + part) == checksum
        place += _RECORD_HEADER + length
        parts.append(part)
        # 1: whole, 2: first, 3: middle, 4: last
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(b"".join(parts))
            parts = []


class OfflineRun:
    """What a run has sent, for tests to look at.

    Attributes:
        name, group, job_type: of the run. exit_code: 0 for success.
        config, summary: as they are in the end. history: a dict for each step.
        metrics: definitions of metrics by their names.
        artifacts: records of all but those that carry tables.
        charts: names of the charts' kinds by key.
    """

    def __init__(self, file: Path) -> None:
        self._records = list(records(file))
        runs = self._of("run")
        self.name, self.group, self.job_type = runs[-1].display_name, runs[0].run_group, runs[0].job_type
        self.exit_code = next((record.exit_code for record in self._of("exit")), None)
        self.config = _nested(item for record in [runs[0].config, *self._of("config")] for item in record.update)
        self.summary = _nested(item for record in self._of("summary") for item in record.update)
        self.history = [_nested(row.item) for row in self._of("history")]
        self.metrics = {metric.name or metric.glob_name: metric for metric in self._of("metric")}
        self._tables = {
            content.path: Path(content.local_path)
            for artifact in self._of("artifact")
            if artifact.type == "run_table"
            for content in artifact.manifest.contents
        }
        self.artifacts = [artifact for artifact in self._of("artifact") if artifact.type != "run_table"]
        shown = self.config["_wandb"].get("visualize", {})
        self.charts = {key: chart["panel_config"]["panelDefId"] for key, chart in shown.items()}

    def used(self) -> dict[str, Any]:
        """By type, the artifacts that the run took."""
        return {artifact.type: artifact for artifact in self.artifacts if artifact.use_after_commit}

    def made(self) -> dict[str, Any]:
        """By type, the artifacts that the run left."""
        return {artifact.type: artifact for artifact in self.artifacts if not artifact.use_after_commit}

    def table(self, key: str) -> dict[str, Any]:
        """Columns and data of a table."""
        return json.loads(self._tables[f"{key}.table.json"].read_text())

    def _of(self, kind: str) -> list[Any]:
        return [getattr(record, kind) for record in self._records if record.WhichOneof("record_type") == kind]


def only_run(folder: Path) -> OfflineRun:
    """The one run below a folder."""
    (file,) = folder.rglob("offline-run-*/run-*.wandb")
    return finished_run(file)


def finished_run(file: Path) -> OfflineRun:
    """A run that has ended; its file is whole a moment after that."""
    for _ in range(100):
        if any(record.WhichOneof("record_type") == "exit" for record in records(file)):
            break
        time.sleep(0.05)
    return OfflineRun(file)


def _nested(items: Iterable[Any]) -> dict[str, Any]:
    """The values of records, the later ones above the earlier; keys of several parts are dicts in dicts."""
    values: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return values
