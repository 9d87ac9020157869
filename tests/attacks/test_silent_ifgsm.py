"""The attack on the base model and a detector."""

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import AttackedImage, PatchIFGSM, SilentIFGSM
from mrcert_pl.attacks.silent import alerting, harmful_and_silent
from mrcert_pl.defenders import HiCert
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import AblatedViT, ViTSRF

PATCH = PatchSpec((64, 20))
QUICK = {"starts": 3, "steps": 6}
IMAGE = random_images(1)[0].mul(255).round() / 255


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    return noisy_srf().requires_grad_(False)


def attacked(model: ViTSRF, label: int, **settings: object) -> AttackedImage:
    return SilentIFGSM(PATCH, **QUICK, detector="hicert", threshold=0.4, **settings).attack(model, IMAGE, label, 7)


def test_the_score_is_that_of_all_entries_and_higher_than_without_them(model: ViTSRF) -> None:
    label = int(model(IMAGE[None]).argmax())
    found = attacked(model, label)
    rule = HiCert(0.4)
    score = harmful_and_silent(rule, model, alerting(rule, rule.mutants(model, PATCH)), label)
    plain = PatchIFGSM(PATCH, **QUICK).attack(model, IMAGE, label, 7)
    (ours, theirs), labels = score(torch.stack([found.image, plain.image]))
    assert found.loss == pytest.approx(float(ours), abs=1e-5)
    assert found.prediction == int(labels[0])
    assert float(ours) > float(theirs)
    outside = ~found.placement.mask((64, 64))
    assert torch.equal(found.image * outside, IMAGE * outside)


def test_starts_do_not_depend_on_the_batch(model: ViTSRF) -> None:
    one, all_at_once = (attacked(model, 2, token_budget=budget) for budget in (1, 10**6))
    assert one.loss == pytest.approx(all_at_once.loss, abs=1e-4)
    assert one.start == all_at_once.start
    whole = PatchIFGSM(PATCH).tokens(model)
    assert SilentIFGSM(PATCH).tokens(model) > whole


def test_settings_are_plain() -> None:
    settings = SilentIFGSM(PATCH, detector="hicert", threshold=0.4, stride=[2, 1]).settings()
    assert settings["attack"] == "silent"
    assert [settings[name] for name in ("detector", "threshold", "stride")] == ["hicert", 0.4, [2, 1]]


def test_early_stop_does_not_end_at_a_wrong_label_with_an_alert(model: ViTSRF) -> None:
    label = (int(model(IMAGE[None]).argmax()) + 1) % 5
    early, late = (attacked(model, label, early_stop=stop) for stop in (True, False))
    assert early.prediction != label
    assert (early.loss, early.start, early.step) == (1.0, late.start, late.step)
    assert early.step > 0


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "mrcert"}, "attack=silent is for detectors, for example hicert, and mrcert is none"),
        ({"detector": "nothing"}, "unknown defender 'nothing'; choose one of"),
        ({"detector": "patchcensor", "threshold": 0.5}, "patchcensor has no threshold; leave attack.threshold out"),
        ({"detector": "hicert", "threshold": 1.5}, "must be from 0 to 1, got 1.5"),
        ({"detector": 3}, r"attack\.detector must be the name of a detector, got 3"),
        ({"stride": "a"}, r"attack\.stride must be a whole number, or one for each axis, got 'a'"),
        ({"stride": [1]}, r"attack\.stride must be a whole number, or one for each axis, got \[1\]"),
        ({"stride": None}, r"attack\.stride must be a whole number, or one for each axis, got None"),
        ({"stride": [2, 0]}, r"attack\.stride must be a whole number of at least 1, got 0"),
        ({"starts": 0}, "must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SilentIFGSM(PATCH, **settings)


def test_a_model_without_masks() -> None:
    model = AblatedViT("vit_tiny_patch16_224", num_classes=5, width=19, backbone_args=noisy_srf.__defaults__[2]).eval()
    with pytest.raises(ConfigurationError, match="hides windows of a grid, and AblatedViT has none"):
        SilentIFGSM(PATCH, **QUICK).attack(model, IMAGE, 0, 0)
