"""Verification of results.json: every forged value, accuracies and settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from evaluations import evaluation, found, leaves, put, read_rows, rewrite, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec
from mrcert_pl.verification import FREE, verify


def others(value: Any) -> list[Any]:
    """Other values in place of one: of the same type, and of others."""
    changed: list[Any] = [None, "x", 7, [], {}]
    if isinstance(value, bool):
        changed.append(not value)
    elif isinstance(value, (int, float)):
        changed += [value + 1, value - 1, value * 2 + 3, -value, 0]
    elif isinstance(value, str):
        changed += [value[:-1], value + "0"]
    return [other for other in changed if other != value or type(other) is not type(value)]


def test_every_changed_value_of_results_json_is_found(run: Path) -> None:
    content = json.loads((run / "results.json").read_text())
    passed = []
    for path, value in leaves(content):
        if path[0] in FREE:
            continue
        for other in others(value):
            if value == other or (value is None and other is None):
                continue
            rewrite(
                run, lambda c, path=path, other=other: (c.update(json.loads(json.dumps(content))), put(c, path, other))
            )
            if not found(run):
                passed.append((path, value, other))
    assert passed == []


@pytest.mark.parametrize("name", ["n", "accuracy", "defender", "patch", "mutants", "weights_sha256", "margin", "seed"])
def test_a_removed_value_of_results_json_is_found(run: Path, name: str) -> None:
    rewrite(run, lambda content: content.pop(name))
    assert found(run)


def test_a_removed_accuracy_is_found(run: Path) -> None:
    for name in ("base", "clean", "certified", "round_trip"):
        content = json.loads((run / "results.json").read_text())
        removed = content["accuracy"].pop(name)
        (run / "results.json").write_text(json.dumps(content))
        assert f"accuracy.{name}" in found(run)
        content["accuracy"][name] = removed
        (run / "results.json").write_text(json.dumps(content))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_content_of_results_json_is_refused_or_found(honest: Path, run: Path, data: st.DataObject) -> None:
    content = json.loads((honest / "results.json").read_text())
    path, value = data.draw(st.sampled_from(list(leaves(content))))
    path = path[: data.draw(st.integers(1, len(path)))]
    put(content, path, data.draw(PLAIN))
    (run / "results.json").write_text(json.dumps(content))
    unchanged = json.loads((honest / "results.json").read_text()) == content
    assert found(run) or unchanged or path[0] in FREE or value is None or skipped(run)


def skipped(run: Path) -> bool:
    return verify(run).skipped is not None


def test_reported_accuracies_are_those_of_the_configuration(run: Path) -> None:
    rewrite(run, lambda content: content["config"].update(reported={"certified": 0.5}))
    assert found(run) == "None accuracy.certified.reported"
    rewrite(run, lambda content: content["accuracy"]["certified"].update(reported=0.5))
    assert found(run) == ""


def test_adversarial_certified_accuracy_is_of_what_the_base_model_gets_wrong(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    harmed = [row for row in rows if row["base_prediction"] != row["label"]]
    assert 0 < len(harmed) < len(rows)
    count = sum(row["prediction"] == row["label"] and row["certified"] for row in harmed)
    assert count < len(harmed)
    rewrite(run, lambda content: content["config"]["dataset"].update(name="attacked"))
    assert found(run) == "None accuracy.adversarial_certified"
    for claimed, difference in ((count, ""), (count + 1, "None accuracy.adversarial_certified")):
        share = {"count": claimed, "n": len(harmed)}
        rewrite(run, lambda content, share=share: content["accuracy"].update(adversarial_certified=share))
        assert found(run) == difference
    rewrite(run, lambda content: content["accuracy"]["adversarial_certified"].update(count=count))
    rewrite(run, lambda content: content["config"]["dataset"].update(name="digits"))
    assert found(run) == "None accuracy.adversarial_certified"


def test_harmful_alerts_are_those_of_wrong_labels(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "run", "patchcensor")
    rows = read_rows(run / "verdicts.parquet")
    wrong = [row for row in rows if row["prediction"] != row["label"]]
    count = sum(row["alert"] >= 0 for row in wrong)
    assert 0 < len(wrong) < len(rows)
    assert count != sum(row["alert"] >= 0 for row in rows if row not in wrong)
    rewrite(run, lambda content: content["config"]["dataset"].update(name="attacked"))
    assert found(run) == "None accuracy.harmful_alerts"
    for claimed, n in ((count, len(wrong)), (count + 1, len(wrong)), (count, len(wrong) + 1)):
        share = {"count": claimed, "n": n}
        rewrite(run, lambda content, share=share: content["accuracy"].update(harmful_alerts=share))
        assert found(run) == ("" if (claimed, n) == (count, len(wrong)) else "None accuracy.harmful_alerts")


def test_the_most_votes_that_a_patch_touches_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of 2 px at a stride of 2: a patch of 2 px touches one or two."""
    votes = PatchedAblations(Ablations((8, 24), 2, 2, "column"), PatchSpec((2, 2)))
    assert set(votes.touched.sum(1).tolist()) == {1, 2}
    monkeypatch.setattr("evaluations.mutants_of", lambda name: votes)
    assert found(evaluation(tmp_path / "run", "vot")) == ""


@pytest.mark.parametrize(
    "settings_",
    [{"patches": "2"}, {"patches": 10**6}, {"patches": 0}, {"certificate": "none"}, {"colour": 1}, {"margin": True}],
    ids=str,
)
def test_settings_that_the_rule_does_not_have_are_refused(run: Path, settings_: dict[str, Any]) -> None:
    def state(content: dict[str, Any]) -> None:
        for place in (content["defender_settings"], content["config"]["defender"]):
            place.update(settings_)

    rewrite(run, state)
    assert found(run)


def test_a_limit_of_refinement_says_nothing_without_refinement(run: Path) -> None:
    """The command line states it in every configuration."""
    rewrite(run, lambda content: content["config"].update(refine_limit=400, refine_threshold=0.5))
    assert found(run) == ""


def test_the_mean_of_the_largest_costs_is_a_number(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", [{**row, "gflops": 1.7e308} for row in rows])
    assert found(run) == "None gflops_per_image"
