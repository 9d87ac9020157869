"""The attack on the cost of refined unions."""

import math

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import AttackedImage, CostlyIFGSM
from mrcert_pl.defenders import PatchCURE
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.models import AblatedViT, ViTSRF
from mrcert_pl.mutants import MutantEvaluator

PATCH = PatchSpec((160, 28))
STRIDE = 2


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    """Ten columns of 16 px."""
    size = {"img_size": 160, "embed_dim": 32, "depth": 3, "num_heads": 2}
    return noisy_srf(split=1, window=(10, 1), backbone_args=size).requires_grad_(False)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return random_images(1, 160)[0].mul(255).round() / 255


def attacked(model: ViTSRF, image: torch.Tensor, **settings: object) -> AttackedImage:
    quick = {"starts": 2, "steps": 12, "stride": STRIDE, "threshold": 0.7}
    return CostlyIFGSM(PATCH, **{**quick, **settings}).attack(model, image, 2, 7)


@pytest.mark.parametrize("order", [1, 2])
def test_the_score_is_the_mean_doubt_about_the_large_masks(model: ViTSRF, image: torch.Tensor, order: int) -> None:
    found = attacked(model, image, steps=2, order=order)
    unions = UnionLattice(model.covering_masks(PATCH, STRIDE), model.windows, order)
    assert len(unions) > 4
    logits = model(found.image.expand(len(unions), -1, -1, -1), unions.hidden)
    confidence = logits.double().softmax(1).amax(1)
    doubt = math.log(0.7 / 0.3) - (confidence / (1 - confidence)).log()
    assert found.loss == pytest.approx(float(doubt.clamp(max=1).mean()), abs=1e-4)
    assert found.prediction == int(logits[0].argmax())
    outside = ~found.placement.mask((160, 160))
    assert torch.equal(found.image * outside, image * outside)


def test_more_mutants_are_evaluated(model: ViTSRF, image: torch.Tensor) -> None:
    defender = Refined(PatchCURE(), (STRIDE,), 0.7)
    mutants = defender.mutants(model, PATCH, 1)
    evaluator = MutantEvaluator(model, mutants)
    patched = attacked(model, image).image
    before, after = (
        int(evaluator.evaluate(one[None], defender.with_output("certificate")).evaluated.sum())
        for one in (image, patched)
    )
    assert before < after


def test_early_stop_ends_at_the_largest_score_and_not_at_another_label(model: ViTSRF, image: torch.Tensor) -> None:
    label = (int(model(image[None]).argmax()) + 1) % 5
    attack = CostlyIFGSM(PATCH, starts=2, steps=12, stride=STRIDE, threshold=0.7, early_stop=True)
    late, early = attacked(model, image), attack.attack(model, image, label, 7)
    assert early.prediction != label
    assert early.loss == late.loss < 1
    sure = attacked(model, image, threshold=1 - 1e-12, early_stop=True)
    assert (sure.loss, sure.step, sure.start) == (1.0, 0, 0)


def test_settings_are_plain() -> None:
    settings = CostlyIFGSM(PATCH, stride=3, threshold=0.6, order=2).settings()
    assert [settings[name] for name in ("attack", "stride", "threshold", "order")] == ["costly", 3, 0.6, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.0}, r"attack\.threshold must be between 0 and 1, got 1\.0"),
        ({"threshold": 0.0}, r"attack\.threshold must be between 0 and 1, got 0"),
        ({"stride": 0}, r"attack\.stride must be a whole number of at least 1, got 0"),
        ({"order": 0}, r"attack\.order must be a whole number of at least 1, got 0"),
        ({"starts": 0}, "must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CostlyIFGSM(PATCH, **settings)


def test_a_model_without_masks() -> None:
    model = AblatedViT("vit_tiny_patch16_224", num_classes=5, width=19, backbone_args=noisy_srf.__defaults__[2]).eval()
    with pytest.raises(ConfigurationError, match="attack=costly needs a model with masks, unlike AblatedViT"):
        CostlyIFGSM(PatchSpec(32), starts=1, steps=1).attack(model, random_images(1)[0], 0, 0)
