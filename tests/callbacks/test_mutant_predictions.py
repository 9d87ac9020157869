from pathlib import Path

import lightning as L
import pytest

from mrcert_pl.callbacks import MutantPredictions
from mrcert_pl.data import ImageDataModule
from mrcert_pl.defenders import MRCert, PatchCURE
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, covering_lattice, covering_masks
from mrcert_pl.lit import MaskedFinetuning
from mrcert_pl.metrics import CertifiedRecoveryAccuracy
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import MutantEvaluator
from mrcert_pl.training import MaskSampler


@pytest.mark.parametrize("defender", [MRCert(), PatchCURE()], ids=lambda defender: defender.name)
@pytest.mark.parametrize("images", [5, 12])
def test_logs_the_accuracies_of_the_first_images(
    tiny_vit: ViTSRF, tmp_path: Path, defender: MRCert | PatchCURE, images: int
) -> None:
    callback = MutantPredictions(defender, patch=32, images=images)
    masks = MaskSampler(covering_masks(tiny_vit.grid, tiny_vit.window_px, PatchSpec(32)), 14, [0])
    module = MaskedFinetuning(tiny_vit, masks, num_classes=10, optimizer={"opt": "adamw", "lr": 1e-3})
    data = ImageDataModule("digits", limit=10, batch_size=4)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path, callbacks=[callback]
    )
    logged = trainer.validate(module, data, verbose=False)[0]

    lattice = covering_lattice(tiny_vit.grid, tiny_vit.window_px, PatchSpec(32), defender.order)
    engine, metric = MutantEvaluator(tiny_vit.eval(), lattice), CertifiedRecoveryAccuracy()
    samples = [data.split("val")[i] for i in range(min(images, 10))]
    for sample in samples:
        table = engine.evaluate(sample.image[None], defender)
        target = table.labels.new_tensor([sample.label])
        metric.update(defender.decide(table), target, base=table.labels[:, 0])
    expected = metric.compute()
    assert expected["n"] == min(images, 10)
    for name in ("base", "clean", "certified", "round_trip"):
        assert logged[f"val/{name}_accuracy"] == pytest.approx(expected[name])


def test_needs_an_image() -> None:
    with pytest.raises(ConfigurationError, match="must be at least 1, got 0"):
        MutantPredictions(MRCert(), patch=16, images=0)
