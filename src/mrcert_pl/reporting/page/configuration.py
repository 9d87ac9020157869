"""Where the figures of the page come from: commands, weights, devices, versions, settings."""

import json
from collections.abc import Mapping

from mrcert_pl.reporting.page.parts import Details, Section
from mrcert_pl.reporting.runs import Run

# How the facts are called, in the order in which they are shown.
_FACTS = {
    "command": "command",
    "seed": "seed",
    "checkpoint": "checkpoint",
    "table": "tables",
    "weights_sha256": "weights (SHA-256)",
    "mutants": "mutants",
    "margin": "margin",
    "delta": "spread of logits",
    "seconds": "seconds",
}


def configuration_section(runs: Mapping[str, Run]) -> Section:
    """One entry for each run, by its name."""
    return Section("Configuration and versions", details=[_details(name, run) for name, run in runs.items()])


def _details(name: str, run: Run) -> Details:
    result = run.result
    facts = {"folder": str(run.folder)}
    facts |= {title: _text(result[key]) for key, title in _FACTS.items() if result.get(key) is not None}
    facts |= {key: str(value) for key, value in result.get("environment", {}).items()}
    return Details(name, facts, json.dumps(result["config"], indent=2))


def _text(fact: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in fact.items()) if isinstance(fact, Mapping) else str(fact)
