"""``results.json``: what a run found, and everything needed to judge it."""

import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mrcert_pl.errors import ResultsError
from mrcert_pl.files import write_json

_FORMAT = 1
_PACKAGES = ("torch", "torchvision", "lightning", "timm", "torchmetrics", "numpy")


def environment(device: str, precision: str) -> dict[str, Any]:
    """Versions, device and precision of this run."""
    return {
        "mrcert_pl": version("mrcert_pl"),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
        "precision": precision,
    }


def write_results(path: Path, counts: Mapping[str, int], reported: Mapping[str, float | None], **facts: Any) -> Path:
    """Write a ``results.json``.

    Args:
        path: the file.
        counts: number of images by accuracy, and their total ``n``. ``adversarial_certified`` is about the images that
            the base model misreads alone; its share is ``None`` if there is none.
        reported: published shares by accuracy, where there are any; they stand beside the measured ones.
        facts: anything else that is worth keeping, as plain values.
    """
    n = counts["n"]
    out_of = dict.fromkeys(counts, n)
    if "adversarial_certified" in counts:
        out_of["adversarial_certified"] = n - counts["base"]
    accuracies = {
        name: {
            "count": count,
            "n": out_of[name],
            "measured": count / out_of[name] if out_of[name] else None,
            "reported": reported.get(name),
        }
        for name, count in counts.items()
        if name != "n"
    }
    return write_json(path, {"format": _FORMAT, "n": n, "accuracy": accuracies, **facts})


def read_results(path: Path) -> dict[str, Any]:
    """Read a ``results.json``.

    Raises:
        ResultsError: if it is missing, damaged, or not one of ours, naming the file.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise ResultsError(f"can't read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ResultsError(f"{path} is damaged ({error}); remove it or run its evaluation again") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT or "accuracy" not in content:
        raise ResultsError(f"{path} is not a result of this version of mrcert; remove it or run its evaluation again")
    return content


def find_results(paths: Iterable[Path]) -> list[Path]:
    """The ``results.json`` files at or below some paths, oldest first.

    Raises:
        ResultsError: for a path that doesn't exist, a file of another name, or if there is no result at all.
    """
    paths = list(paths)
    if missing := [str(path) for path in paths if not path.exists()]:
        raise ResultsError(
            f"there is no {', '.join(missing)}; an evaluation (python eval.py) makes results in outputs/"
        )
    if others := [str(path) for path in paths if path.is_file() and path.name != "results.json"]:
        raise ResultsError(f"{', '.join(others)} is no results.json; name that of an evaluation, or a folder")
    found = {file for path in paths for file in ([path] if path.is_file() else path.rglob("results.json"))}
    if not found:
        raise ResultsError(
            f"there are no results in {', '.join(map(str, paths))}; an evaluation (python eval.py) makes them"
        )
    return sorted(found, key=lambda file: (file.stat().st_mtime, str(file)))
