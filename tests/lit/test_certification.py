from typing import Any

import lightning as L
import pytest
import torch

from mrcert_pl.data import ImageDataModule, Sample
from mrcert_pl.defenders import Defender, MRCert, MRCertCascade, PatchCURE, Undefended, Verdicts
from mrcert_pl.errors import NumericalError
from mrcert_pl.geometry import PatchSpec, covering_lattice
from mrcert_pl.lit import Certification
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import PredictionTable


class Kept(Certification):
    """Keeps what every batch gave, image by image."""

    def __init__(self, *arguments: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        super().__init__(*arguments, on_batch=self.keep)

    def keep(self, batch: Sample, table: PredictionTable[Any], verdicts: Verdicts) -> None:
        columns = {name: value.tolist() for name, value in vars(verdicts).items() if value is not None}
        columns |= {"id": batch.id.tolist(), "target": batch.label.tolist(), "base": table.labels[:, 0].tolist()}
        columns["evaluated"] = table.evaluated.sum(1).tolist()
        self.rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def certify(model: ViTSRF, defender: Defender, batch_size: int = 4, limit: int = 7) -> Kept:
    lattice = covering_lattice(model.grid, model.window_px, PatchSpec(32), defender.order)
    certification = Kept(model, lattice, defender)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.test(certification, ImageDataModule("digits", limit=limit, batch_size=batch_size), verbose=False)
    return certification


@pytest.mark.parametrize("defender", [MRCert(), PatchCURE(), Undefended()], ids=lambda defender: defender.name)
def test_batches_and_counts_agree(tiny_vit: ViTSRF, defender: Defender) -> None:
    certification = certify(tiny_vit, defender)
    rows, counts = certification.rows, certification.counts
    assert len({row["id"] for row in rows}) == certification.finished == 7
    assert counts["n"] == len(rows) == 7
    correct = [row for row in rows if row["label"] == row["target"]]
    assert counts["clean"] == len(correct)
    assert counts["certified"] == sum(row["certified"] for row in correct)
    assert counts["round_trip"] == sum(row["round_trip"] for row in correct)
    assert counts["base"] == sum(row["base"] == row["target"] for row in rows)
    assert {row["evaluated"] for row in rows} == {len(certification.evaluator.mutants)}


@pytest.mark.parametrize("defender", [MRCert(), MRCert(certificate="sharp"), MRCertCascade(), PatchCURE()])
def test_lazy_evaluation_of_a_model_gives_the_same_verdicts(tiny_vit: ViTSRF, defender: Defender) -> None:
    full, lazy = certify(tiny_vit, defender), certify(tiny_vit, defender.with_output("map"))
    assert lazy.counts == full.counts
    few, every = ([row.pop("evaluated") for row in run.rows] for run in (lazy, full))
    assert max(few) <= min(every) == max(every)
    assert sum(few) < sum(every)
    assert lazy.rows == full.rows


def test_batches_do_not_matter(tiny_vit: ViTSRF) -> None:
    assert certify(tiny_vit, PatchCURE(), 1).rows == certify(tiny_vit, PatchCURE(), 7).rows


def test_an_image_with_nan_logits_is_named_and_the_finished_rows_stay(tiny_vit: ViTSRF) -> None:
    defender = PatchCURE()
    lattice = covering_lattice(tiny_vit.grid, tiny_vit.window_px, PatchSpec(32), defender.order)
    certification = Kept(tiny_vit, lattice, defender)
    data = ImageDataModule("digits", limit=4, batch_size=1)
    third = data.split("test").records[2]
    encode = tiny_vit.encode
    calls = []

    def damaged(images: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return encode(images) * (torch.nan if len(calls) == 3 else 1.0)

    tiny_vit.encode = damaged  # type: ignore[method-assign]
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    with pytest.raises(NumericalError, match=third.path):
        trainer.test(certification, data, verbose=False)
    assert len(certification.rows) == certification.finished == 2
