"""The attack against a plain loop, and what its results may not depend on."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import AttackedImage, PatchIFGSM, normalised_range
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF

SMALL = {"starts": 3, "steps": 3}
IMAGES = random_images(3).mul(255).round() / 255
LABEL = 2


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    return noisy_srf()


def pixel_loop(model, image, image_id, patch, starts, steps, quantize):
    """The definition in pixel space, one image in a batch and no early end; return the best iterate and its loss."""
    best = (None, -1.0)
    for start in range(starts):
        (rows, columns), uniform = draws_of(image_id, start, patch)
        content = uniform
        for _ in range(steps + 1):
            pixels = (content.clamp(0, 1) * 255).round() / 255 if quantize else content
            patched = image.clone()
            patched[:, rows, columns] = pixels
            loss, gradient = loss_and_gradient(model, patched)
            if loss > best[1]:
                best = (patched, loss)
            content = (content + 0.05 * gradient[:, rows, columns].sign()).clamp(0, 1)
    return best


def authors_loop(model, image, image_id, patch, starts, steps, clip):
    """The published attack as it is described, on normalised images from the first line to the last.

    A start is the original plus U(-1, 1), clipped to ``clip``. A step adds 0.05 times the sign of the gradient, goes
    back to within 1 of the original, and is clipped to ``clip``.
    """
    mean, std = model.mean[0], model.std[0]
    original = (image - mean) / std
    best = (None, -1.0)
    for start in range(starts):
        (rows, columns), uniform = draws_of(image_id, start, patch)
        x = original.clone()
        x[:, rows, columns] += 2 * uniform - 1
        x[:, rows, columns] = x[:, rows, columns].clamp(*clip)
        for _ in range(steps + 1):
            loss, gradient = loss_and_gradient(model, x * std + mean)
            if loss > best[1]:
                best = (x * std + mean, loss)
            inside = x[:, rows, columns] + 0.05 * gradient[:, rows, columns].sign()
            under = original[:, rows, columns]
            inside = torch.maximum(torch.minimum(inside, under + 1), under - 1)
            x = x.clone()
            x[:, rows, columns] = inside.clamp(*clip)
    return best


def draws_of(image_id, start, patch):
    """Location and uniform numbers of a start."""
    draws = np.random.default_rng([0, image_id, start])
    draws.integers(1)
    top, left = int(draws.integers(64 - patch[0] + 1)), int(draws.integers(64 - patch[1] + 1))
    place = slice(top, top + patch[0]), slice(left, left + patch[1])
    return place, torch.from_numpy(draws.random((3, *patch), dtype=np.float32))


def loss_and_gradient(model, patched):
    patched = patched.clone().requires_grad_()
    loss = F.cross_entropy(model(patched[None]), torch.tensor([LABEL]))
    (gradient,) = torch.autograd.grad(loss, patched)
    return loss.item(), gradient


def check(model, attack, image_id, expected, loss):
    found = attack.attack(model, IMAGES[image_id], LABEL, image_id)
    assert found.loss == pytest.approx(loss, abs=1e-3)
    assert (found.image - expected).abs().amax() < 0.11
    assert ((found.image - expected).abs() > 1e-4).float().mean() < 0.01
    assert found.prediction == int(model(found.image[None]).argmax())


@pytest.mark.parametrize("quantize", [True, False])
@pytest.mark.parametrize("patch", [(12, 12), (8, 20)])
def test_it_is_the_plain_loop(model: ViTSRF, patch: tuple[int, int], quantize: bool) -> None:
    attack = PatchIFGSM(PatchSpec(patch), **SMALL, quantize=quantize)
    for image_id, image in enumerate(IMAGES):
        check(model, attack, image_id, *pixel_loop(model, image, image_id, patch, **SMALL, quantize=quantize))


@pytest.mark.parametrize("clip", [None, (-0.6, 0.4)], ids=["measured", "narrow"])
@pytest.mark.parametrize("patch", [(12, 12), (8, 20)])
def test_the_authors_space_is_the_published_loop(
    model: ViTSRF, patch: tuple[int, int], clip: tuple[float, float] | None
) -> None:
    clip = clip or normalised_range(IMAGES, model)
    attack = PatchIFGSM(PatchSpec(patch), **SMALL, space="authors", clip=clip)
    assert not attack.quantize
    for image_id, image in enumerate(IMAGES):
        check(model, attack, image_id, *authors_loop(model, image, image_id, patch, **SMALL, clip=clip))


def same(one: AttackedImage, other: AttackedImage) -> bool:
    rest = [{k: v for k, v in vars(attacked).items() if k != "image"} for attacked in (one, other)]
    return torch.equal(one.image, other.image) and rest[0] == rest[1]


def test_nothing_depends_on_other_images(model: ViTSRF) -> None:
    attack = PatchIFGSM(PatchSpec(12), **SMALL)
    forwards = [attack.attack(model, image, LABEL, image_id) for image_id, image in enumerate(IMAGES)]
    backwards = [attack.attack(model, IMAGES[image_id], LABEL, image_id) for image_id in (2, 1, 0)][::-1]
    assert all(same(*pair) for pair in zip(forwards, backwards, strict=True))


def test_image_id_and_seed_determine_the_draws(model: ViTSRF) -> None:
    found = {
        PatchIFGSM(PatchSpec(12), starts=1, steps=0, seed=seed).attack(model, IMAGES[0], LABEL, image_id).placement
        for seed in (0, 1)
        for image_id in (0, 1)
    }
    assert len(found) == 4


def test_the_token_budget_changes_the_batches_alone(model: ViTSRF) -> None:
    sizes = []
    handle = model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    found = [PatchIFGSM(PatchSpec(12), 5, 0, token_budget=b).attack(model, IMAGES[0], LABEL, 0) for b in (1, 40, 10**6)]
    handle.remove()
    assert sizes == [1] * 5 + [2, 2, 1] + [5]
    assert len({attacked.start for attacked in found}) == 1


def test_it_raises_the_loss_and_touches_the_patch_alone(model: ViTSRF) -> None:
    attack = PatchIFGSM(PatchSpec(24), starts=2, steps=15)
    found = attack.attack(model, IMAGES[0], LABEL, 0)
    before = F.cross_entropy(model(IMAGES[:1]), torch.tensor([LABEL])).item()
    begun = PatchIFGSM(PatchSpec(24), starts=2, steps=0).attack(model, IMAGES[0], LABEL, 0)
    assert found.loss > begun.loss + 0.5 * abs(before - begun.loss)
    outside = ~found.placement.mask((64, 64))
    assert torch.equal(found.image * outside, IMAGES[0] * outside)
    assert torch.equal(found.image, (found.image * 255).round() / 255)


def test_early_stop_keeps_the_first_that_is_misclassified(model: ViTSRF) -> None:
    label = int(model(IMAGES[:1]).argmax())
    attacks = [
        PatchIFGSM(PatchSpec(48), starts=4, steps=30, early_stop=stop, token_budget=40) for stop in (True, False)
    ]
    early, late = (attack.attack(model, IMAGES[0], label, 0) for attack in attacks)
    assert early.prediction != label
    assert late.prediction != label
    assert early.loss < late.loss


def test_several_shapes(model: ViTSRF) -> None:
    attack = PatchIFGSM(PatchSpec("8x20,20x8"), starts=1, steps=0)
    shapes = {attack.attack(model, IMAGES[0], LABEL, image_id).placement[2:] for image_id in range(20)}
    assert shapes == {(8, 20), (20, 8)}


@pytest.mark.parametrize(
    "other",
    [
        lambda args: MaskedViT("vit_tiny_patch16_224", num_classes=5, backbone_args=args),
        lambda args: AblatedViT("vit_tiny_patch16_224", num_classes=5, width=19, backbone_args=args),
        lambda args: BlackBox("test_resnet", num_classes=5, patch=12, masks_per_axis=3, image_px=(64, 64)),
    ],
    ids=["masked_vit", "column_vit", "blackbox"],
)
def test_every_model_can_be_attacked(other: object) -> None:
    args = {"img_size": 64, "embed_dim": 16, "depth": 1, "num_heads": 2}
    found = PatchIFGSM(PatchSpec(12), **SMALL).attack(other(args).eval(), IMAGES[0], LABEL, 0)  # type: ignore[operator]
    assert found.loss > 0


def test_a_model_in_training_mode_and_a_large_patch_are_refused(model: ViTSRF) -> None:
    with pytest.raises(ConfigurationError, match="larger than the image"):
        PatchIFGSM(PatchSpec(65), **SMALL).attack(model, IMAGES[0], LABEL, 0)
    with pytest.raises(ConfigurationError, match="training mode"):
        PatchIFGSM(PatchSpec(12)).attack(noisy_srf().train(), IMAGES[0], LABEL, 0)


def test_the_settings_are_plain_and_name_the_patch() -> None:
    settings = PatchIFGSM(PatchSpec("8x20")).settings()
    assert settings["patch"] == [8, 20]
    assert {settings[name] for name in ("attack", "starts", "steps", "step_size")} == {"ifgsm", 80, 150, 0.05}
