"""Verification: honest evaluations agree with their tables, and every forged value is found."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import evaluations
import numpy as np
import pytest
from evaluations import BORDERS, evaluation, mutants_of, read_rows, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrcert_pl.defenders import names
from mrcert_pl.errors import ResultsError
from mrcert_pl.geometry import Ablations, PatchedAblations, PatchSpec
from mrcert_pl.mutants.shards import read_shard
from mrcert_pl.verification import FREE, verify
from mrcert_pl.verification import evaluation as evaluation_module
from mrcert_pl.verification.claims import Evidence
from mrcert_pl.verification.rows import _claims_less


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluation(tmp_path_factory.mktemp("honest") / "run")


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy of an honest evaluation, to be changed."""
    return Path(shutil.copytree(honest, tmp_path / "run"))


def found(run: Path, **arguments: Any) -> str:
    """What verification finds: the fields that differ, or the error."""
    try:
        report = verify(run, **arguments)
    except ResultsError as error:
        return str(error)
    assert report.skipped is None
    return ", ".join(f"{difference.image_id} {difference.field}" for difference in report.differences)


def rewrite(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((run / "results.json").read_text())
    change(content)
    (run / "results.json").write_text(json.dumps(content))


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("name", names())
def test_honest_evaluations_agree_with_their_tables(tmp_path: Path, name: str, lazily: bool) -> None:
    run = evaluation(tmp_path / "run", name, lazily=lazily)
    images: list[int] = []
    report = verify(run, progress=images.append)
    assert report.differences == ()
    assert (report.images, report.defender, images[-1]) == (12, name, 12)
    assert lazily or report.completed == 0
    truth = {row["id"]: row["label"] for row in read_rows(run / "verdicts.parquet")}
    assert verify(run / "results.json", labels=truth).differences == ()
    assert verify(run, labels=truth.get).differences == ()
    (run / "mutants").rename(tmp_path / "elsewhere")
    assert verify(run, tmp_path / "elsewhere").differences == ()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every plain value of nested objects and lists, with its place."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
    else:
        for name, part in parts:
            yield from leaves(part, (*path, name))


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


def put(content: Any, path: tuple[Any, ...], value: Any) -> None:
    for name in path[:-1]:
        content = content[name]
    content[path[-1]] = value


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


@pytest.mark.parametrize("name", ["mrcert_sharp", "mrcert", "patchcure", "vot", "hicert"])
def test_every_changed_value_of_the_verdicts_is_found(tmp_path: Path, name: str) -> None:
    run = evaluation(tmp_path / "run", name)
    rows, draws = read_rows(run / "verdicts.parquet"), np.random.default_rng(0)
    for column, value in rows[0].items():
        number = int(draws.integers(len(rows)))
        value = rows[number][column]
        if isinstance(value, list):
            changed = [[not value[0], *value[1:]], value[:-1], None]
        elif isinstance(value, bool):
            changed = [not value, None]
        elif isinstance(value, (int, float)):
            changed = [value + 1, value - 1, None]
        elif value is None:
            changed = [[True]] if column == "safe_masks" else [1]
        else:
            changed = [value + "x", None]
        for other in changed:
            write_rows(
                run / "verdicts.parquet", [r | ({column: other} if i == number else {}) for i, r in enumerate(rows)]
            )
            assert found(run), (column, value, other)
    write_rows(run / "verdicts.parquet", rows)
    assert not found(run)


def test_removed_and_repeated_rows_are_found(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", rows[1:])
    assert "10 number of rows" in found(run)

    # With all counts made to fit, an image that was misclassified is dropped.
    def fewer(content: dict[str, Any]) -> None:
        content["n"] = 11
        for accuracy in content["accuracy"].values():
            accuracy["count"], accuracy["n"] = min(accuracy["count"], 11), 11
            accuracy["measured"] = accuracy["count"] / 11

    honest = (run / "results.json").read_text()
    rewrite(run, fewer)
    assert "10 number of rows" in found(run)
    (run / "results.json").write_text(honest)
    write_rows(run / "verdicts.parquet", [*rows, rows[3]])
    assert "id: an image stands twice" in found(run)
    write_rows(run / "verdicts.parquet", [*rows, rows[3] | {"id": 99}])
    assert "there are tables of 12 of the 13 images" in found(run)


def test_an_evaluation_of_fewer_images_says_so_in_its_configuration(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    kept = [row for row in rows if row["id"] != 15]
    write_rows(run / "verdicts.parquet", kept)

    def limited(content: dict[str, Any]) -> None:
        content["config"]["dataset"]["limit"] = 11

    rewrite(run, limited)
    assert "n" in found(run).split()
    assert "number of rows" not in found(run)


def test_labels_replaced_by_predictions_are_found(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", [row | {"label": row["prediction"]} for row in rows])
    assert " label" in found(run)


def test_labels_of_the_data_set_decide(run: Path) -> None:
    truth = {row["id"]: row["label"] for row in read_rows(run / "verdicts.parquet")}
    assert "12 label (data set)" in found(run, labels={**truth, 12: truth[12] + 1})
    assert "99 number of rows" in found(run, labels={**truth, 99: 0})
    assert "label (data set)" in found(run, labels=lambda image_id: None)


@pytest.mark.parametrize("patch", [9, 16, "8x16", [8, 16], "100%", 49, 0, -1, "x", None])
def test_a_patch_that_the_masks_do_not_cover_is_found(run: Path, patch: Any) -> None:
    def state(content: dict[str, Any]) -> None:
        content["patch"] = content["config"]["patch"] = patch

    rewrite(run, state)
    assert found(run)


def test_the_first_placement_without_a_mask_is_named(run: Path) -> None:
    def state(content: dict[str, Any]) -> None:
        content["patch"] = content["config"]["patch"] = "8x10"

    rewrite(run, state)
    (difference,) = [d for d in verify(run).differences if d.field == "patch"]
    assert difference.computed == "no mask covers the 8x10 px patch whose top left pixel is (0, 7)"


def test_masks_without_places_are_refused_where_they_matter(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undefended = evaluation(tmp_path / "undefended", "undefended")
    assert found(undefended) == ""
    monkeypatch.setattr(Evidence, "borders", lambda self: None)
    assert "don't say where the windows are" in found(run)
    assert found(undefended) == ""


def test_a_patch_in_per_cent_is_one_of_the_whole_image(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of windows of 8 px are 16 px high."""
    seen = []
    monkeypatch.setattr(Evidence, "borders", lambda self: [[0, 8, 16], list(BORDERS[1])])
    monkeypatch.setattr(evaluation_module, "shapes_px", lambda result, image_px: seen.append(image_px) or [(8, 8)])
    verify(run)
    assert seen == [(16, 48)]


def test_tables_that_name_neither_data_set_nor_model_contradict_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluations.store_header
    monkeypatch.setattr(evaluations, "store_header", lambda names, **facts: whole(names={}, **facts))
    assert found(evaluation(tmp_path / "run")) == ""


def test_the_most_votes_that_a_patch_touches_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of 2 px at a stride of 2: a patch of 2 px touches one or two."""
    votes = PatchedAblations(Ablations((8, 24), 2, 2, "column"), PatchSpec((2, 2)))
    assert set(votes.touched.sum(1).tolist()) == {1, 2}
    monkeypatch.setattr("evaluations.mutants_of", lambda name: votes)
    assert found(evaluation(tmp_path / "run", "vot")) == ""


def test_harmful_alerts_are_those_of_wrong_labels(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "run", "patchcensor")
    rows = read_rows(run / "verdicts.parquet")
    wrong = [row for row in rows if row["prediction"] != row["label"]]
    count = sum(row["alert"] >= 0 for row in wrong)
    assert 0 < len(wrong) < len(rows)
    assert count != sum(row["alert"] >= 0 for row in rows if row not in wrong)
    for claimed, n in ((count, len(wrong)), (count + 1, len(wrong)), (count, len(wrong) + 1)):
        share = {"count": claimed, "n": n}
        rewrite(run, lambda content, share=share: content["accuracy"].update(harmful_alerts=share))
        assert found(run) == ("" if (claimed, n) == (count, len(wrong)) else "None accuracy.harmful_alerts")


@pytest.mark.parametrize("array", ["counts_0", "n", "image_px"])
def test_changed_maps_are_found(run: Path, array: str) -> None:
    with np.load(run / "locations.npz") as file:
        maps = dict(file)
    for changed in (maps[array] + 1, maps[array].astype(float), np.zeros(3, int)):
        np.savez(run / "locations.npz", **{**maps, array: changed})
        assert "locations.npz" in found(run)
    np.savez(run / "locations.npz", **{name: value for name, value in maps.items() if name != array})
    assert "locations.npz" in found(run)
    np.savez(run / "locations.npz", **maps, counts_1=maps["counts_0"])
    assert "locations.npz: counts_1" in found(run)
    (run / "locations.npz").unlink()
    assert "locations.npz" in found(run)


def test_maps_of_a_defender_without_maps_are_found(tmp_path: Path, run: Path) -> None:
    other = evaluation(tmp_path / "other", "mrcert")
    shutil.copy(run / "locations.npz", other)
    assert "locations.npz" in found(other)


def test_a_changed_bit_of_a_shard_is_found(run: Path) -> None:
    shard = next((run / "mutants").glob("*.parquet"))
    original, draws = shard.read_bytes(), np.random.default_rng(0)
    expected = [(row.id, row.labels.tobytes()) for row in read_shard(shard)[1]]
    silent = 0
    for bit in draws.choice(8 * len(original), 60, replace=False).tolist():
        damaged = bytearray(original)
        damaged[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(damaged)
        if not found(run):
            silent += 1
            assert [(row.id, row.labels.tobytes()) for row in read_shard(shard)[1]] == expected
    assert silent < 30


def test_tables_of_other_evaluations_are_refused(run: Path, tmp_path: Path) -> None:
    (run / "mutants").rename(tmp_path / "tables")
    assert "there are no tables of mutants in elsewhere" in found(run)
    rewrite(run, lambda content: content.update(weights_sha256="cd" * 32))
    assert "are of other weights than the result" in found(run, tables=tmp_path / "tables")
    rewrite(run, lambda content: content.update(table=None))
    assert "names no tables; name them with --tables" in found(run)


def test_defenders_without_a_second_implementation_are_skipped(run: Path) -> None:
    rewrite(run, lambda content: content.update(defender="outside"))
    assert "is of outside, and its settings of mrcert_sharp" in found(run)

    def outside(content: dict[str, Any]) -> None:
        content["defender_settings"]["name"] = content["config"]["defender"]["name"] = "module:outside"

    rewrite(run, outside)
    report = verify(run)
    assert report.images == 0
    assert report.skipped == "outside has no second implementation; register it with one to verify its verdicts"


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


@pytest.mark.parametrize("file", ["results.json", "verdicts.parquet", "locations.npz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"PK\x03\x04", b"PAR1PAR1", b"[" * 100_000], ids=repr)
def test_malformed_files_are_one_sentence(run: Path, file: str, content: bytes) -> None:
    (run / file).write_bytes(content)
    with pytest.raises(ResultsError, match=file):
        verify(run)


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


def test_an_image_without_a_verdict_is_counted_against_one_row(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    write_rows(run / "verdicts.parquet", rows[1:])
    (missing,) = (d for d in verify(run).differences if d.field == "number of rows")
    assert (missing.image_id, missing.written, missing.computed) == (rows[0]["id"], 0, 1)


def test_tables_with_any_missing_entry_are_completed(tmp_path: Path) -> None:
    run = evaluation(tmp_path / "run", "mrcert_sharp", lazily=True)
    partly = [row["mutants_evaluated"] < len(mutants_of("mrcert_sharp")) for row in read_rows(run / "verdicts.parquet")]
    assert verify(run).completed == sum(partly) > 0


@pytest.mark.parametrize("lazily", [False, True])
def test_the_number_of_mutants_is_compared_for_each_image(tmp_path: Path, lazily: bool) -> None:
    """The mean stays as it is; of a lazy evaluation the tables may hold more than it has evaluated, never less."""
    run = evaluation(tmp_path / "run", "mrcert_sharp", lazily=lazily)
    rows = read_rows(run / "verdicts.parquet")
    rows[0]["mutants_evaluated"] += 1
    rows[1]["mutants_evaluated"] -= 1
    write_rows(run / "verdicts.parquet", rows)
    more, less = f"{rows[0]['id']} mutants_evaluated", f"{rows[1]['id']} mutants_evaluated"
    assert found(run) == (more if lazily else f"{more}, {less}")
    rows[0]["mutants_evaluated"] += rows[1]["mutants_evaluated"] - 1
    rows[1]["mutants_evaluated"] = 0
    rows[2]["mutants_evaluated"] += 1
    write_rows(run / "verdicts.parquet", rows)
    assert less in found(run)


def test_a_limit_of_refinement_says_nothing_without_refinement(run: Path) -> None:
    """The command line states it in every configuration."""
    rewrite(run, lambda content: content["config"].update(refine_limit=400, refine_threshold=0.5))
    assert found(run) == ""


def test_adversarial_certified_accuracy_is_of_what_the_base_model_gets_wrong(run: Path) -> None:
    rows = read_rows(run / "verdicts.parquet")
    harmed = [row for row in rows if row["base_prediction"] != row["label"]]
    assert 0 < len(harmed) < len(rows)
    count = sum(row["prediction"] == row["label"] and row["certified"] for row in harmed)
    for claimed, difference in ((count, ""), (count + 1, "None accuracy.adversarial_certified")):
        share = {"count": claimed, "n": len(harmed)}
        rewrite(run, lambda content, share=share: content["accuracy"].update(adversarial_certified=share))
        assert found(run) == difference


@pytest.mark.parametrize(
    ("stated", "computed", "less"),
    [
        (False, True, True),
        (True, True, True),
        (True, False, False),
        (1, 2, True),
        (2, 1, False),
        (True, 2, False),
        (0, True, False),
        ("0", "1", False),
        (None, 1, False),
        ([True, False], [True, True], True),
        ([False, True], [True, False], False),
        ([False], [True, True], False),
        ([False], True, False),
    ],
)
def test_what_claims_less(stated: Any, computed: Any, less: bool) -> None:
    assert _claims_less(stated, computed) == less
