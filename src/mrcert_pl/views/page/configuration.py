"""Origin of the numbers of the page: commands, weights, devices, versions, settings."""

import json
from collections.abc import Mapping

from mrcert_pl.results.codec import encode
from mrcert_pl.results.runs import EvaluationRun
from mrcert_pl.views.page.parts import Details, Section


def configuration_section(runs: Mapping[str, EvaluationRun]) -> Section:
    """One entry for each run, by its name."""
    return Section("Configuration and versions", details=[_details(name, run) for name, run in runs.items()])


def _details(name: str, run: EvaluationRun) -> Details:
    result = run.result
    mutants, environment = result.mutants, result.environment
    known: dict[str, object] = {
        "folder": run.folder,
        "command": result.command or None,
        "seed": result.seed,
        "checkpoint": result.checkpoint,
        "tables": result.table,
        "weights (SHA-256)": result.weights_sha256,
        "mutants": None if mutants is None else f"{mutants.kind}: {_listed(mutants.sizes)}",
        "margin": result.margin,
        "spread of logits": None if result.delta is None else _listed(result.delta),
        "seconds": result.seconds,
        **environment.versions,
        "platform": environment.platform,
        "device": environment.device,
        "precision": environment.precision,
    }
    facts = {title: str(fact) for title, fact in known.items() if fact is not None}
    return Details(name, facts, json.dumps(encode(result.config), indent=2))


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
