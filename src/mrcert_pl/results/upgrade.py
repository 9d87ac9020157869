"""Results of version 1 in the fields of the present one; each function raises whatever a malformed content makes it."""

import math
from collections.abc import Mapping
from typing import Any

_PLACE = ("platform", "device", "precision")


def mutants(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Translate ``mutants.summary()``."""
    return {
        "kind": summary.get("ablations", "unions"),
        "sizes": {name: size for name, size in summary.items() if name != "ablations"},
    }


def evaluation(content: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``results.json`` of an evaluation."""
    config = content["config"]
    return {
        **_environment(content),
        "defender_settings": {k: v for k, v in config["defender"].items() if k != "_target_"},
        **({"mutants": mutants(content["mutants"])} if content.get("mutants") is not None else {}),
    }


def attack(content: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``results.json`` of an attack."""
    accuracy, settings = content["accuracy"], dict(content["attack"])
    return {
        **{name: value for name, value in _environment(content).items() if name != "accuracy"},
        "before": accuracy["base_before"],
        "after": accuracy["base_after"],
        "attack": settings.pop("attack"),
        "attack_settings": settings,
    }


def certificate_audit(content: Mapping[str, Any]) -> dict[str, Any]:
    """Translate ``certificates.json``; it has the sums of the breaks alone."""
    broken = {name: None if content[name] else 0 for name in ("labels_broken", "certificates_broken")}
    return {
        **_environment(content),
        **_subject(content),
        "attacks": [{"name": name, "tried": tried, **broken} for name, tried in content["attacks"].items()],
    }


def numerics(content: Mapping[str, Any]) -> dict[str, Any]:
    """Translate ``numerics.json``."""
    spreads = [_renamed(spread, "way", "method") for spread in content["spreads"]]
    return {**_environment(content), **_subject(content), "spreads": spreads}


def benchmark(content: Mapping[str, Any]) -> dict[str, Any]:
    """Translate ``bench.json``; memory that was not counted is NaN there."""
    rows = [_renamed(row, "way", "method") for row in content["rows"]]
    for row in rows:
        if isinstance(row["peak_mib"], float) and math.isnan(row["peak_mib"]):
            row["peak_mib"] = None
    return {**_environment(content), "rows": rows, "mutants": mutants(content["mutants"])}


def _environment(content: Mapping[str, Any]) -> dict[str, Any]:
    flat = content["environment"]
    versions = {name: value for name, value in flat.items() if name not in _PLACE}
    return {**content, "environment": {**{name: flat[name] for name in _PLACE}, "versions": versions}}


def _subject(content: Mapping[str, Any]) -> dict[str, Any]:
    config = content["config"]
    return {
        "dataset": config["dataset"]["name"],
        "model": config["model"]["name"],
        "patch": config["patch"],
        "checkpoint": config.get("checkpoint"),
    }


def _renamed(row: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in row.items()}
