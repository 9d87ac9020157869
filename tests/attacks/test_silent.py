"""The attack on a detector."""

import math

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import AdaptivePatch, Placement, SilentPatch, adaptive_attack
from mrcert_pl.attacks.silent import leads, silence
from mrcert_pl.defenders import (
    ANY_LABEL,
    NO_ALERT,
    Defender,
    Detector,
    HiCert,
    PatchCensor,
    PatchCURE,
    PatchGuardPlusPlus,
)
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import MutantEvaluator
from mrcert_pl.mutants.confidence import log_odds

DETECTORS = [PatchCensor(), HiCert(0.0), HiCert(0.7), PatchGuardPlusPlus(0.7), PatchGuardPlusPlus(0.0)]
LARGE = Placement(0, 0, 96, 80)


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    size = {"img_size": 96, "embed_dim": 32, "depth": 3, "num_heads": 2}
    return noisy_srf(split=1, window=(6, 1), backbone_args=size).requires_grad_(False)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_a_positive_distance_is_silence(detector: Detector) -> None:
    """By the rule: the entry raises no alert if the image has the label, except within rounding of the limits."""
    logits = 2 * torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(0))
    distances, odds = silence(detector, logits), log_odds(logits).float()
    dissents, agrees = detector.dissent_alerts(odds, 0.0), detector.agreement_alerts(odds, 0.0)
    for label in range(4):
        alert = torch.where(logits.argmax(2) != label, dissents, agrees)
        distance = distances[..., label]
        assert torch.equal(distance[distance.abs() > 1e-4] > 0, ~alert[distance.abs() > 1e-4])
    assert (distances > 0).any()
    assert (distances < 0).any()


@pytest.mark.parametrize("detector", [HiCert(1.0), PatchGuardPlusPlus(1.0), HiCert(0.0), PatchCensor()])
def test_thresholds_at_the_ends_have_finite_gradients(detector: Detector) -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0], [90.0, -90.0, 0.0]]], requires_grad=True)
    scores = silence(detector, logits).clamp(max=1)
    assert scores.isfinite().all()
    (gradient,) = torch.autograd.grad(scores.sum(), logits)
    assert gradient.isfinite().all()


def test_leads() -> None:
    logits = torch.tensor([[[1.0, 3.0, 2.5]]])
    assert leads(logits).tolist() == [[[-2.0, 0.5, -0.5]]]


def test_the_score_is_the_mean_distance_for_the_best_other_label(model: ViTSRF) -> None:
    detector, images = HiCert(0.6), random_images(2, 96, seed=5)
    mutants = detector.mutants(model, PatchSpec((96, 12)))
    attack = SilentPatch(detector, mutants)
    hidden = attack.hidden[[0, 2, 4]]
    scores, labels = attack.objective(model, hidden, 2)(images)
    everywhere, _ = attack.objective(model, hidden, ANY_LABEL)(images)
    threshold = math.log(0.6 / 0.4)
    for i, image in enumerate(images):
        logits = model(image.expand(3, -1, -1, -1), hidden)
        of_label = []
        for label in range(5):
            lead = logits[:, label] - logits[:, [c for c in range(5) if c != label]].amax(1)
            odds = logits[:, label] - logits[:, [c for c in range(5) if c != label]].logsumexp(1) - threshold
            parts = [lead[0], min(lead[1], odds[1]), min(lead[2], odds[2])]
            of_label.append(sum(min(1.0, float(part)) for part in parts) / 3)
        assert everywhere[i].item() == pytest.approx(max(of_label), abs=1e-4)
        assert scores[i].item() == pytest.approx(max(of_label[:2] + of_label[3:]), abs=1e-4)
        assert int(labels[i]) == int(logits[0].argmax())


def outcome(model: ViTSRF, detector: Detector, image: torch.Tensor) -> tuple[int, bool]:
    """The label of an image, and whether an alert is raised."""
    mutants = detector.mutants(model, PatchSpec((96, 12)))
    verdict = detector.decide(MutantEvaluator(model, mutants).evaluate(image[None], detector))
    assert verdict.alert is not None
    return int(verdict.label), int(verdict.alert) != NO_ALERT


@pytest.mark.parametrize("detector", [PatchCensor(), HiCert(0.3), PatchGuardPlusPlus(0.5)], ids=lambda d: d.name)
def test_it_is_harmful_and_silent_where_the_patch_is_too_large(model: ViTSRF, detector: Detector) -> None:
    """Five of six columns under attack; masks hide two."""
    attack = SilentPatch(detector, detector.mutants(model, PatchSpec((96, 12))), steps=30)
    image = random_images(1, 96)[0]
    label = int(model(image[None]).argmax())
    ((name, attacked),) = attack.patched(model, image, label, LARGE, 0)
    assert name == "silent"
    assert torch.equal(attacked[:, :, 80:], image[:, :, 80:])
    assert torch.equal(attacked[:, :, :80], (attacked[:, :, :80] * 255).round() / 255)
    new, alert = outcome(model, detector, attacked)
    assert (new != label, alert) == (True, False)


@pytest.mark.parametrize("detector", [PatchCensor(), HiCert(0.3)], ids=lambda d: d.name)
def test_an_attack_on_the_label_alone_is_detected(model: ViTSRF, detector: Detector) -> None:
    """The same image, placement and steps."""
    image = random_images(1, 96)[0]
    label = int(model(image[None]).argmax())
    attack = AdaptivePatch(detector.mutants(model, PatchSpec((96, 12))).hidden, steps=30)
    ((_, attacked),) = attack.patched(model, image, label, LARGE, 0)
    new, alert = outcome(model, detector, attacked)
    assert (new != label, alert) == (True, True)


@pytest.mark.parametrize(("defender", "attack"), [(PatchCensor(), SilentPatch), (PatchCURE(), AdaptivePatch)])
def test_the_attack_follows_from_the_defender(model: ViTSRF, defender: Defender, attack: type[AdaptivePatch]) -> None:
    made = adaptive_attack(defender, defender.mutants(model, PatchSpec((96, 12))), steps=7, mutants=3)
    assert type(made) is attack
    assert (made.steps, made.mutants) == (7, 3)


def test_only_the_largest_unions_are_asked(model: ViTSRF) -> None:
    detector = PatchCensor(at_once=2)
    mutants = detector.mutants(model, PatchSpec((96, 12)))
    attack = SilentPatch(detector, mutants)
    assert 1 < len(attack.hidden) < len(mutants.hidden)
    assert not attack.hidden[0].any()
    assert attack.candidates(model, LARGE).tolist() == [*range(1, len(attack.hidden))]
