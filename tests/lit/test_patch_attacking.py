"""The loop around an attack: every image once, and an error that names its image."""

from pathlib import Path

import pytest
import torch

from mrcert_pl.attacks import PatchIFGSM
from mrcert_pl.data import AttackedSet, AttackedSetHeader, Sample
from mrcert_pl.data.attacked import read_facts
from mrcert_pl.errors import NumericalError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.lit import PatchAttacking
from mrcert_pl.models import ViTSRF

BATCH = Sample(torch.rand(2, 3, 224, 224), torch.tensor([4, 5]), torch.tensor([7, 3]), ["a.png", "b.png"])
HEADER = AttackedSetHeader("digits", tuple("0123456789"), (3, 7), True, 32, "vit_srf", "", {}, "best.ckpt")


def attacking(model: ViTSRF, folder: Path) -> PatchAttacking:
    return PatchAttacking(model, PatchIFGSM(PatchSpec(32), starts=2, steps=1), AttackedSet(folder, HEADER))


def test_a_batch_is_written_with_its_facts_and_not_attacked_again(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    with torch.inference_mode():
        attacking(tiny_vit, tmp_path).test_step(BATCH, 0)
    facts = read_facts(tmp_path / "7.png", HEADER)
    assert (facts.id, facts.label, facts.path) == (7, 4, "a.png")
    assert facts.clean_prediction == int(tiny_vit(BATCH.image[:1]).argmax())
    assert facts.success == (facts.prediction != 4)
    assert (facts.placement.height, facts.placement.width) == (32, 32)
    before = (tmp_path / "3.png").read_bytes()
    (tmp_path / "7.png").unlink()
    tiny_vit.head.bias.data += 1
    attacking(tiny_vit, tmp_path).test_step(BATCH, 0)
    assert (tmp_path / "3.png").read_bytes() == before
    assert (tmp_path / "7.png").exists()


def test_an_image_whose_logits_are_not_finite_is_named(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    tiny_vit.head.bias.data[0] = torch.nan
    with pytest.raises(NumericalError, match=r"^a\.png: the logits under attack are not finite"):
        attacking(tiny_vit, tmp_path).test_step(BATCH, 0)
