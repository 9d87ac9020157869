"""The interfaces of attacks, as the attacks of the package and of other packages fill them."""

import json
from dataclasses import FrozenInstanceError

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import (
    AdaptivePatch,
    AttackedImage,
    CheapPatches,
    LocationSearch,
    PatchAttack,
    PatchIFGSM,
    PlacedAttack,
    Placement,
)
from mrcert_pl.geometry import PatchSpec

IMAGE = random_images(1)[0].mul(255).round() / 255
ATTACKS = [
    PatchIFGSM(PatchSpec(12), starts=2, steps=1),
    LocationSearch(PatchSpec(12), starts=1, steps=1, coarse_px=32, fine_px=32, coarse_steps=0, keep=1),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attacked_image_is_as_it_says(attack: PatchAttack) -> None:
    model = noisy_srf()
    found = attack.attack(model, IMAGE, 2, 0)
    outside = ~found.placement.mask((64, 64))
    assert torch.equal(found.image * outside, IMAGE * outside)
    assert not torch.equal(found.image, IMAGE)
    assert attack.quantize
    assert torch.equal(found.image, (found.image * 255).round() / 255)
    logits = model(found.image[None]).detach()
    assert found.prediction == int(logits.argmax())
    assert found.loss == pytest.approx(-float(logits.log_softmax(1)[0, 2]), abs=1e-3)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_settings_are_plain_and_name_the_attack(attack: PatchAttack) -> None:
    settings = attack.settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["attack"] == attack.name


def test_an_attack_of_another_package_needs_no_clip() -> None:
    class Black(PatchAttack):
        name, quantize = "black", True

        def attack(self, model, image, label, image_id):  # type: ignore[no-untyped-def]
            return AttackedImage(image * 0, Placement(0, 0, 64, 64), 0.0, 0, 0, 0)

        def settings(self):  # type: ignore[no-untyped-def]
            return {"attack": self.name}

    assert not Black().needs_clip


def test_an_attack_without_its_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="attack"):
        type("Empty", (PatchAttack,), {})()
    with pytest.raises(TypeError, match="patched"):
        type("Empty", (PlacedAttack,), {})()
    assert issubclass(AdaptivePatch, PlacedAttack)
    assert issubclass(CheapPatches, PlacedAttack)


def test_an_attacked_image_is_frozen() -> None:
    attacked = AttackedImage(IMAGE, Placement(0, 0, 1, 1), 0.5, 1, 0, 0)
    with pytest.raises(FrozenInstanceError):
        attacked.loss = 1.0  # type: ignore[misc]
