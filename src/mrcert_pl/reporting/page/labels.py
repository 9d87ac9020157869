"""Names that tell results apart: of a defender, of a base model."""

from collections.abc import Mapping, Sequence
from typing import Any

from mrcert_pl.reporting.runs import Run
from mrcert_pl.reporting.summary import Result, grouped, patch_text, seeds_text

_SETTINGS = ("model", "defender", "patches", "stride", "evaluate")
_OF_BASES = ("seed", "weights", "stride")


def label(results: Sequence[Result], base: str = "model") -> list[Result]:
    """The same results with a ``label`` each: the defender, and what tells it from others on the same base."""
    labels = {}
    for group in grouped(results, "dataset", base, "patch", "n", "defender"):
        telling = _telling([_facts(result) for result in group])
        for number, (result, parts) in enumerate(zip(group, telling, strict=True), start=1):
            run = [f"run {number}"] if len(group) > 1 and not parts else []
            labels[id(result)] = ", ".join([result["defender"], *parts, *run])
    return [{**result, "label": labels[id(result)]} for result in results]


def label_bases(results: Sequence[Result]) -> list[Result]:
    """The same results with a ``base`` each, the base model and what tells it from others, and a ``label`` on it."""
    bases = {}
    for group in grouped(results, "dataset", "model", "patch", "n"):
        facts = [
            {name: fact for name, fact in _facts(result).items() if name.startswith("model.") or name in _OF_BASES}
            for result in group
        ]
        for result, parts in zip(group, _telling(facts), strict=True):
            bases[id(result)] = ", ".join([result["model"], *parts])
    return label([{**result, "base": bases[id(result)]} for result in results], "base")


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by names that tell them apart: label and patch, then as much of the images and the model as it takes."""
    results = label([run.result for run in runs])
    names = [f"{result['label']}, {patch_text(result['patch'])}" for result in results]
    for key in ("dataset", "model", "n"):
        longer = [f"{name}, {result[key]}" for name, result in zip(names, results, strict=True)]
        if len(set(longer)) > len(set(names)):
            names = longer
    return dict(zip(names, runs, strict=True))


def _telling(facts: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """For each of some results the facts in which they differ, in words."""
    names = dict.fromkeys(name for fact in facts for name in fact)
    telling = [name for name in names if len({fact.get(name) for fact in facts}) > 1]
    # Other settings make other weights: then the digests of these say nothing more.
    settings = [name for name in telling if name != "weights"]
    if _different(facts, settings) == _different(facts, telling):
        telling = settings
    words = [[f"{name.split('.', 1)[-1]} {fact.get(name)}" for name in telling] for fact in facts]
    return [list(dict.fromkeys(parts)) for parts in words]


def _different(facts: Sequence[Mapping[str, str]], names: Sequence[str]) -> int:
    return len({tuple(fact.get(name) for name in names) for fact in facts})


def _facts(result: Result) -> dict[str, str]:
    facts = {"seed": seeds_text(result), "weights": str(result.get("weights_sha256", ""))[:6]}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                collect(f"{name}.{key}", part)
        elif isinstance(value, list) and len(value) == 2:
            facts[name] = "x".join(map(str, value))
        else:
            facts[name] = str(value)

    for name in _SETTINGS:
        collect(name, result["config"].get(name))
    return facts
