"""Names that tell results apart: of a defender, of a base model, of a run."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from mrcert_pl.results.runs import EvaluationRun
from mrcert_pl.results.schema import Patch
from mrcert_pl.results.seeds import AnyResult

_SETTINGS = ("model", "defender", "patches", "stride", "evaluate", "output")
_OF_BASES = ("seed", "weights", "stride")
# Without an effect where no masks are refined.
_OF_REFINE = ("refine_threshold", "refine_limit")

ItemT = TypeVar("ItemT")


def patch_text(patch: Patch) -> str:
    """A patch with its unit, or the patches of a set."""
    if isinstance(patch, (list, tuple)):
        return ", ".join(map(patch_text, patch))
    return f"{patch} px" if isinstance(patch, int) else str(patch)


def grouped(items: Sequence[ItemT], *keys: Sequence[object]) -> list[list[ItemT]]:
    """Group items that agree in every one of some keys, in their order.

    Args:
        items: The items.
        keys: Sequences with one value per item.
    """
    groups: dict[tuple[str, ...], list[ItemT]] = {}
    for item, *values in zip(items, *keys, strict=True):
        groups.setdefault(tuple(map(str, values)), []).append(item)
    return list(groups.values())


def by_subject(results: Sequence[AnyResult], *attributes: str) -> list[list[AnyResult]]:
    """Group results that agree in some attributes: ``dataset``, ``model``, ``patch``, ``n``, ``defender``."""
    return grouped(results, *([getattr(result, name) for result in results] for name in attributes))


def labels(results: Sequence[AnyResult], bases: Sequence[str] | None = None) -> list[str]:
    """Name each result by its defender, and by what tells it from others of that defender on the same base model.

    Args:
        results: The results.
        bases: Names of their base models, from :func:`base_labels`; default: the models' own names.
    """
    bases = [result.model for result in results] if bases is None else bases
    found = [""] * len(results)
    keys = [[r.dataset, base, r.patch, r.n, r.defender] for r, base in zip(results, bases, strict=True)]
    for places in grouped(range(len(results)), keys):
        telling = _telling([_facts(results[place]) for place in places])
        for number, (place, parts) in enumerate(zip(places, telling, strict=True), start=1):
            repeated = len(places) > 1 and not parts
            found[place] = ", ".join([results[place].defender, *parts, *([f"run {number}"] if repeated else [])])
    return found


def base_labels(results: Sequence[AnyResult]) -> list[str]:
    """Name the base model of each result, and what tells it from others of that name."""
    found = [""] * len(results)
    keys = [[r.dataset, r.model, r.patch, r.n] for r in results]
    for places in grouped(range(len(results)), keys):
        facts = [{name: fact for name, fact in _facts(results[place]).items() if _of_base(name)} for place in places]
        for place, parts in zip(places, _telling(facts), strict=True):
            found[place] = ", ".join([results[place].model, *parts])
    return found


def named(runs: Sequence[EvaluationRun]) -> dict[str, EvaluationRun]:
    """Name runs by label and patch, and by as much of the images and the model as tells them apart."""
    results = [run.result for run in runs]
    names = [f"{name}, {patch_text(r.patch)}" for name, r in zip(labels(results), results, strict=True)]
    for attribute in ("dataset", "model", "n"):
        longer = [f"{name}, {getattr(r, attribute)}" for name, r in zip(names, results, strict=True)]
        if len(set(longer)) > len(set(names)):
            names = longer
    return dict(zip(names, runs, strict=True))


def _of_base(name: str) -> bool:
    return name.startswith("model.") or name in _OF_BASES


def _telling(facts: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """For each result the facts in which they differ, in words."""
    names = dict.fromkeys(name for fact in facts for name in fact)
    telling = [name for name in names if len({fact.get(name) for fact in facts if _applies(name, fact)}) > 1]
    # Other settings make other weights, whose digests add nothing.
    settings = [name for name in telling if name != "weights"]
    if _different(facts, settings) == _different(facts, telling):
        telling = settings
    words = [[_words(name, fact) for name in telling if _applies(name, fact)] for fact in facts]
    return [list(dict.fromkeys(parts)) for parts in words]


def _applies(name: str, fact: Mapping[str, str]) -> bool:
    return name in fact or name not in _OF_REFINE


def _words(name: str, fact: Mapping[str, str]) -> str:
    short = name.split(".", 1)[-1]
    return f"{short} {fact[name]}" if name in fact else f"no {short}"


def _different(facts: Sequence[Mapping[str, str]], names: Sequence[str]) -> int:
    return len({tuple(fact.get(name) for name in names) for fact in facts})


def _facts(result: AnyResult) -> dict[str, str]:
    facts = {"seed": ", ".join(map(str, result.seeds)), "weights": result.weights_sha256[:6]}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                collect(f"{name}.{key}", part)
        elif isinstance(value, (list, tuple)) and len(value) == 2:
            facts[name] = "x".join(map(str, value))
        else:
            facts[name] = str(value)

    for name in _SETTINGS:
        collect(name, result.defender_settings if name == "defender" else result.config.get(name))
    if strides := result.config.get("refine"):
        facts["refine"] = ",".join(map(str, strides)) if isinstance(strides, (list, tuple)) else str(strides)
        facts |= {name: str(result.config.get(name)) for name in _OF_REFINE}
    return facts
