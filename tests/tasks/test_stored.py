"""Another defender on the labels of an earlier evaluation: no weights, no images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign_model import Grid
from small_tasks import CPU

from mrcert_pl import DatasetSettings, EvaluationSettings, ModelSettings, RunSettings, evaluate
from mrcert_pl.data import ImageSplit
from mrcert_pl.data.digits import Digits
from mrcert_pl.errors import CheckpointError, ConfigurationError, DataError, MRCertError, ResultsError
from mrcert_pl.models import ViTSRF
from mrcert_pl.tasks.evaluation import Evaluation
from mrcert_pl.tasks.stored import stored_subject

Run = Callable[..., RunSettings]


@pytest.fixture
def labelled(run: Run, tiny_vit: ViTSRF, tmp_path: Path) -> Evaluation:
    """An evaluation that labelled all mutants of MRCert."""
    return evaluate(
        EvaluationSettings(
            model=tiny_vit,
            patch=32,
            dataset=DatasetSettings(limit=4),
            trainer=CPU,
            store=tmp_path / "tables",
            run=run("labelled"),
        )
    )


def test_every_defender_decides_on_stored_labels(
    labelled: Evaluation, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ViTSRF, "encode", lambda *_: pytest.fail("an image was encoded"))
    monkeypatch.setattr(ImageSplit, "__getitem__", lambda *_: pytest.fail("an image was opened"))
    for number, defender in enumerate(("mrcert", "patchcure", "undefended")):
        again = evaluate(EvaluationSettings(table=labelled.tables, patch=32, defender=defender, run=run(str(number))))
        assert (again.result.defender, again.result.n, again.result.checkpoint) == (defender, 4, None)
        assert again.result.weights_sha256 == labelled.result.weights_sha256
        assert again.result.environment.device == "stored tables"
        if defender == "mrcert":
            assert again.rows == labelled.rows
            assert again.result.accuracy == labelled.result.accuracy
    limited = evaluate(
        EvaluationSettings(table=labelled.tables, patch=32, dataset=DatasetSettings(limit=2), run=run("limited"))
    )
    assert {row.id for row in limited.rows} <= {row.id for row in labelled.rows}


def test_images_to_draw_are_checked_before_a_result_is_written(
    labelled: Evaluation, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [row.id for row in labelled.rows]
    limited = DatasetSettings(limit=2)
    known = {record.id for record in limited.load((224, 224), 0).split("test").records}
    outside = next(image_id for image_id in ids if image_id not in known)
    for name, examples, dataset in (("a", [ids[0], 123456], DatasetSettings()), ("b", [outside], limited)):
        with pytest.raises(ConfigurationError, match=rf"are not evaluated: \[{examples[-1]}\]"):
            evaluate(
                EvaluationSettings(table=labelled.tables, patch=32, examples=examples, dataset=dataset, run=run(name))
            )
        assert list(run(name).folder.rglob("*.[jp]*")) == []
    drawn = evaluate(EvaluationSettings(table=labelled.tables, patch=32, examples=[ids[1]], run=run("c")))
    assert [example.row.id for example in drawn.examples] == [ids[1]]
    monkeypatch.setattr(Digits, "records", lambda *_: [])
    with pytest.raises(DataError, match=r"examples= needs the images of the tables, and .* lacks 4 of 4"):
        evaluate(EvaluationSettings(table=labelled.tables, patch=32, examples=1, run=run("d")))
    assert list(run("d").folder.rglob("*.[jp]*")) == []


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"patch": None}, ResultsError, "the tables state no patch; give patch="),
        ({"patch": 16}, ResultsError, "made by something else|masks"),
        ({"dataset": DatasetSettings("cifar10")}, ResultsError, "dataset: digits in the store, cifar10 here"),
        ({"defender": "vot"}, ConfigurationError, "votes over ablations"),
    ],
)
def test_tables_of_something_else_are_refused(
    labelled: Evaluation, run: Run, changed: dict[str, Any], error: type[MRCertError], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(EvaluationSettings(**{"table": labelled.tables, "patch": 32, "run": run("again"), **changed}))


def test_tables_of_a_model_of_somebody_else(run: Run) -> None:
    four = DatasetSettings(limit=4)
    done = evaluate(EvaluationSettings(model=Grid(), patches=1, patch=4, dataset=four, trainer=CPU, run=run("first")))
    for name, model in (("class", ModelSettings("grid", {}, Grid)), ("object", Grid())):
        again = evaluate(EvaluationSettings(model=model, table=done.tables, patches=1, patch=4, run=run(name)))
        assert again.rows == done.rows
    with pytest.raises(CheckpointError, match="holds a Grid; this version knows AblatedViT"):
        evaluate(EvaluationSettings(table=done.tables, patches=1, patch=4, run=run("without")))


@pytest.mark.parametrize("setting", [{"pretrained": True}, {"weights": "w.pth"}, {"backbone": "local-dir:here"}])
def test_tables_make_nothing_be_loaded(setting: dict[str, Any], tiny_vit: ViTSRF, tmp_path: Path) -> None:
    config = {**tiny_vit.config, **setting}
    header = {"model": {"model": "ViTSRF", "config": config}, "weights_sha256": "0", "precision": "32-true"}
    given = ModelSettings("vit_srf", {}, ViTSRF)
    with pytest.raises(CheckpointError, match=r"would load other files|is not a tag of timm"):
        stored_subject(EvaluationSettings(model=given, patch=32), header, tmp_path)
