"""The common parts of gradient attacks: settings, spaces, batches of starts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import AttackedImage, PatchIFGSM, Placement, normalised_range
from mrcert_pl.attacks.gradient import Start, cross_entropy, worst
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import ViTSRF

SMALL = {"starts": 3, "steps": 3}
IMAGES = random_images(3).mul(255).round() / 255
LABEL = 2


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    return noisy_srf()


def starts(*numbers: int) -> list[Start]:
    return [Start(n, Placement(n, 2 * n, 12, 12), np.random.default_rng(n)) for n in numbers]


def test_the_range_is_one_scalar_pair_of_all_normalised_images(model: ViTSRF) -> None:
    normalised = [(image - model.mean[0]) / model.std[0] for image in IMAGES]
    expected = (min(x.min().item() for x in normalised), max(x.max().item() for x in normalised))
    assert normalised_range(IMAGES, model) == pytest.approx(expected)


def test_the_authors_space_needs_its_range(model: ViTSRF) -> None:
    attack = PatchIFGSM(PatchSpec(12), **SMALL, space="authors")
    assert attack.needs_clip
    assert not PatchIFGSM(PatchSpec(12)).needs_clip
    assert not PatchIFGSM(PatchSpec(12), space="authors", clip=[-2.0, 2.0]).needs_clip
    with pytest.raises(ConfigurationError, match=r"give clip=\(low, high\)"):
        attack.attack(model, IMAGES[0], LABEL, 0)


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": "normalised"}, "unknown space of an attack 'normalised'; choose one of: authors, pixel"),
        ({"starts": 0}, "the starts of an attack must be a whole number of at least 1, got 0"),
        ({"steps": -1}, "the steps of an attack must be a whole number of at least 0, got -1"),
        ({"token_budget": None}, "the token budget of an attack must be a whole number of at least 1, got None"),
        ({"token_budget": 0}, "token budget"),
        ({"step_size": 0.0}, "must be positive"),
        ({"clip": (-1.0, 1.0)}, "clip= belongs to space=authors"),
        ({"clip": 3}, "clip= belongs to space=authors, got 3 with space=pixel"),
        ({"space": "authors", "clip": (1.0, -1.0)}, "a lower and a larger upper value"),
        ({"space": "authors", "clip": 3}, "a lower and a larger upper value, got 3"),
        ({"space": "authors", "clip": "ab"}, "a lower and a larger upper value, got 'ab'"),
        ({"space": "authors", "clip": [None, 1.0]}, "a lower and a larger upper value"),
        ({"early_stop": 3}, r"attack\.early_stop must be true or false, got 3"),
        ({"quantize": "a"}, r"attack\.quantize must be true or false, got 'a'"),
        ({"seed": -1}, "the seed of an attack must be a whole number of at least 0, got -1"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PatchIFGSM(PatchSpec(12), **settings)


def test_the_best_iterates_have_the_order_of_the_starts(model: ViTSRF) -> None:
    given = starts(4, 0, 7)
    found = PatchIFGSM(PatchSpec(12), token_budget=40).climb(model, IMAGES[0], LABEL, given, 1)
    assert [(one.start, one.placement) for one in found] == [(start.number, start.placement) for start in given]
    for one in found:
        logits = model(one.image[None])
        assert one.loss == pytest.approx(F.cross_entropy(logits, torch.tensor([LABEL])).item(), abs=1e-4)
        assert one.prediction == int(logits.argmax())
        assert one.step in (0, 1)


def test_the_objective_is_the_loss_of_each_image(model: ViTSRF) -> None:
    scores, labels = cross_entropy(model, LABEL)(IMAGES)
    logits = model(IMAGES)
    assert torch.allclose(scores, -logits.log_softmax(1)[:, LABEL], atol=1e-5)
    assert torch.equal(labels, logits.argmax(1))


def test_the_worst_is_the_first_of_equals() -> None:
    images = [AttackedImage(IMAGES[0], Placement(0, 0, 1, 1), loss, 0, n, 0) for n, loss in enumerate((1.0, 3.0, 3.0))]
    assert worst(images).start == 1
