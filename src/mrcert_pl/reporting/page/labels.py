"""Names that tell results of one defender apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import Result, grouped, patch_text, seeds_text

_SETTINGS = ("model", "defender", "patches", "stride", "evaluate")


def label(results: Sequence[Result]) -> list[Result]:
    """The same results with a ``label`` each: the defender, and what tells it from others on the same images."""
    labels = {}
    for group in grouped(results, "dataset", "model", "patch", "n", "defender"):
        facts = [_facts(result) for result in group]
        names = dict.fromkeys(name for fact in facts for name in fact)
        telling = [name for name in names if len({fact.get(name) for fact in facts}) > 1]
        for number, (result, fact) in enumerate(zip(group, facts, strict=True), start=1):
            parts = [result["defender"], *(f"{name} {fact.get(name)}" for name in telling)]
            if len(group) > 1 and not telling:
                parts.append(f"run {number}")
            labels[id(result)] = ", ".join(parts)
    return [{**result, "label": labels[id(result)]} for result in results]


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by names that tell them apart: label and patch, then as much of the images and the model as it takes."""
    results = label([run.result for run in runs])
    names = [f"{result['label']}, {patch_text(result['patch'])}" for result in results]
    for key in ("dataset", "model", "n"):
        longer = [f"{name}, {result[key]}" for name, result in zip(names, results, strict=True)]
        if len(set(longer)) > len(set(names)):
            names = longer
    return dict(zip(names, runs, strict=True))


def _facts(result: Result) -> dict[str, str]:
    facts = {"seed": seeds_text(result), "weights": str(result.get("weights_sha256", ""))[:6]}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                collect(f"{name}.{key}", part)
        else:
            facts[name.removeprefix("defender.")] = str(value)

    for name in _SETTINGS:
        collect(name, result["config"].get(name))
    return facts
