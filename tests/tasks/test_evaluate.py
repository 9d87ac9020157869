"""``mrcert_pl.evaluate`` from Python, also with a model of somebody else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_model import Grid, MeanColours
from small_tasks import CPU

from mrcert_pl import DatasetSettings, EvaluationSettings, RunSettings, evaluate
from mrcert_pl.defenders import MRCert, PatchCURE
from mrcert_pl.errors import CheckpointError, ConfigurationError, NumericalError, ResultsError
from mrcert_pl.models import ViTSRF
from mrcert_pl.results import EvaluationResult, TrainingResult, VerdictRow, read_locations, read_verdicts

Run = Callable[..., RunSettings]
FIVE = DatasetSettings(limit=5)


def settings(run: RunSettings, **changed: Any) -> EvaluationSettings:
    known: dict[str, Any] = {"model": Grid(), "patch": 4, "dataset": FIVE, "trainer": CPU, "defender": "patchcure"}
    return EvaluationSettings(**{**known, "run": run, **changed})


def verdicts(rows: Sequence[VerdictRow]) -> list[VerdictRow]:
    return [replace(row, mutants_evaluated=0, gflops=None) for row in rows]


def test_a_checkpoint_is_all_that_an_evaluation_needs(trained: TrainingResult, run: Run) -> None:
    checkpoint = Path(str(trained.checkpoint))
    done = evaluate(
        EvaluationSettings(
            checkpoint=checkpoint, dataset=FIVE, defender="mrcert_sharp", patches=1, trainer=CPU, run=run()
        )
    )
    result = done.result
    assert (result.dataset, result.model, result.patch, result.defender) == ("digits", "vit_srf", 32, "mrcert_sharp")
    assert result.weights_sha256 == trained.weights_sha256
    assert result.n == len(done.rows) == 5
    assert result.accuracy["certified"].count == sum(row.correct_and_certified for row in done.rows)
    assert result.accuracy["clean"].count == sum(row.correct for row in done.rows)
    assert EvaluationResult.read(done.folder / "results.json") == result
    assert read_verdicts(done.folder / "verdicts.parquet") == done.rows
    assert done.locations is not None
    assert read_locations(done.folder / "locations.npz").n == done.locations.n == 5
    assert done.tables == done.folder / "mutants"
    assert (done.examples, done.defences) == ([], [])


def test_a_model_of_somebody_else_is_certified(run: Run) -> None:
    done = evaluate(settings(run(), model=Grid(), defender=MRCert(patches=1, certificate="sharp", margin=1e-6)))
    assert (done.result.model, done.result.defender, done.result.margin) == ("Grid", "mrcert_sharp", 1e-6)
    # Nine masks of 2 x 2 windows, every union of one or two.
    assert done.result.mutants is not None
    assert (done.result.mutants.sizes["masks"], done.result.mutants.sizes["windows"]) == (9, 16)
    # A model that does not count its operations has no costs.
    assert done.result.gflops_per_image is None
    assert all(row.gflops is None and row.safe_masks is not None for row in done.rows)


def test_a_model_without_a_grid_is_not_masked(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="MRCert hides windows of a grid, and MeanColours has none"):
        evaluate(settings(run(), model=MeanColours(), defender="mrcert"))


def test_lazy_evaluation_gives_the_same_verdicts_from_fewer_mutants(run: Run, tiny_vit: ViTSRF) -> None:
    own = {"model": tiny_vit, "patch": 32, "defender": "mrcert_sharp"}
    full = evaluate(settings(run("full"), **own))
    lazy = evaluate(settings(run("lazy"), **own, evaluate="lazy", batch_size=2))
    assert verdicts(lazy.rows) == verdicts(full.rows)
    assert lazy.result.mutants_per_image < full.result.mutants_per_image == 439
    assert (lazy.result.gflops_per_image or 0) < (full.result.gflops_per_image or 0)


def test_labels_are_not_computed_twice(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluate(settings(run("a"), store=tmp_path / "shared"))
    monkeypatch.setattr(Grid, "encode", lambda *_: pytest.fail("an image was encoded"))
    again = evaluate(settings(run("b"), model=_copy(), store=tmp_path / "shared"))
    assert verdicts(again.rows) == verdicts(first.rows)
    newest = evaluate(settings(run("c"), model=_copy(), store=str(tmp_path / "shared")))
    assert newest.tables == tmp_path / "shared"


def _copy() -> Grid:
    torch.manual_seed(0)
    return Grid()


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def test_requested_images_come_with_their_evidence(run: Run) -> None:
    ids = [row.id for row in evaluate(settings(run("a"))).rows]
    done = evaluate(settings(run("b"), model=_copy(), defender="mrcert_sharp", patches=1, examples=[ids[2], ids[0]]))
    assert {example.row.id for example in done.examples} == {ids[2], ids[0]}
    assert done.examples[0].image.shape == (32, 32, 3)
    assert done.examples[0].maps[0].shape == (29, 29)
    assert len(evaluate(settings(run("c"), model=_copy(), examples=3)).examples) == 3
    with pytest.raises(ConfigurationError, match=r"examples= names images that are not evaluated: \[123456\]"):
        evaluate(settings(run("d"), model=_copy(), examples=[123456, ids[0]]))


def test_a_result_is_never_overwritten(run: Run) -> None:
    done = evaluate(settings(run()))
    before = (done.folder / "results.json").read_bytes()
    with pytest.raises(ResultsError, match=r"results\.json is the result of an earlier run and is not overwritten"):
        evaluate(settings(run(), defender="mrcert"))
    assert (done.folder / "results.json").read_bytes() == before


def test_reported_accuracies_stand_beside_the_measured_ones(run: Run) -> None:
    done = evaluate(settings(run(), reported={"certified": 0.25}))
    assert done.result.accuracy["certified"].reported == 0.25
    assert done.result.accuracy["clean"].reported is None


def test_finished_images_are_kept_when_one_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, seen = Grid.encode, []

    def damaged(self: Grid, images: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return encode(self, images) * (torch.nan if len(seen) == 3 else 1.0)

    monkeypatch.setattr(Grid, "encode", damaged)
    with pytest.raises(NumericalError, match="are not finite"):
        evaluate(settings(run("a"), batch_size=1))
    resumed = evaluate(settings(run("b"), model=_copy(), batch_size=1, store="last"))
    assert len(seen) == 3 + 3
    monkeypatch.setattr(Grid, "encode", encode)
    whole = evaluate(settings(run("c"), model=_copy()))
    assert verdicts(resumed.rows) == verdicts(whole.rows)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"model": None}, ConfigurationError, "give a checkpoint, or a model"),
        ({"checkpoint": Path("nowhere.ckpt")}, CheckpointError, r"there is no checkpoint nowhere\.ckpt"),
        ({"patch": None}, ConfigurationError, "names no patch; give patch="),
        ({"patch": 33}, ConfigurationError, "larger than the image of 32x32 px"),
        ({"patch": 17, "defender": "mrcert"}, ConfigurationError, "can hide all 16 windows.*give a smaller patch"),
        ({"defender": "mrcrt"}, ConfigurationError, "unknown defender 'mrcrt'; choose one of: hicert, mrcert, "),
        (
            {"defender": PatchCURE(), "stride": 0},
            ConfigurationError,
            "stride must be a whole number of at least 1, or two of them, got 0",
        ),
        ({"store": "last"}, ResultsError, "there is no earlier run to resume"),
        ({"table": Path("nowhere")}, ResultsError, "there are no tables in nowhere"),
        ({"numerics": Path("nowhere.json")}, ResultsError, r"nowhere\.json"),
    ],
)
def test_what_cannot_work(run: Run, changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(settings(run(), **changed))
