"""The attack on a defender."""

import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import AdaptivePatch, Placement
from mrcert_pl.attacks.adaptive import disagreement, shows_patch
from mrcert_pl.defenders import MRCert
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF

ARGS = {"img_size": 64, "embed_dim": 16, "depth": 1, "num_heads": 2}
SIX_COLUMNS = {"img_size": 96, "embed_dim": 32, "depth": 3, "num_heads": 2}
PLACES = [Placement(5, 12, 12, 12), Placement(0, 0, 12, 12), Placement(52, 52, 12, 12), Placement(16, 16, 12, 12)]


def random_image(px: int) -> torch.Tensor:
    return random_images(1, px)[0].mul(255).round() / 255


IMAGE = random_image(96)


def six_columns(split: int) -> ViTSRF:
    return noisy_srf(split=split, window=(6, 1), backbone_args=SIX_COLUMNS)


@pytest.fixture(scope="module")
def model() -> ViTSRF:
    return six_columns(split=0)


def hidden_of(model) -> torch.Tensor:
    """Some mutants of a model, the unmasked one first."""
    if isinstance(model, AblatedViT):
        return model.ablations(stride=8).hidden
    return MRCert(patches=1).mutants(model, PatchSpec(12)).hidden


MODELS = {
    "vit_srf": lambda: six_columns(split=1),
    "masked_vit": lambda: MaskedViT("vit_tiny_patch16_224", num_classes=5, backbone_args=ARGS).eval(),
    "column_vit": lambda: AblatedViT("vit_tiny_patch16_224", num_classes=5, width=19, backbone_args=ARGS).eval(),
    "block_vit": lambda: AblatedViT(
        "vit_tiny_patch16_224", num_classes=5, width=19, kind="block", backbone_args=ARGS
    ).eval(),
    "blackbox": lambda: BlackBox("test_resnet", num_classes=5, patch=12, masks_per_axis=3, image_px=(64, 64)).eval(),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_mutant_shows_the_patch_if_its_logits_can_change(name: str) -> None:
    """By the gradient: exactly the mutants that are said to show the patch get one from its pixels."""
    model = MODELS[name]()
    hidden = hidden_of(model)[::3]
    for placement in PLACES:
        image = random_image(model.image_px[0]).requires_grad_()
        features = model.encode(image[None]).expand(len(hidden), *[-1] * (model.encode(image[None]).ndim - 1))
        logits = model.classify(features, hidden)
        seen = []
        for row in logits:
            (gradient,) = torch.autograd.grad((row * torch.arange(5)).sum(), image, retain_graph=True)
            seen.append(bool(gradient[placement.pixels].any()))
        assert shows_patch(model, hidden, placement).tolist() == seen


def test_the_score_is_the_lead_of_another_class_up_to_one(model: ViTSRF) -> None:
    hidden = hidden_of(model)[:4]
    images = random_images(2, 96, seed=5)
    scores, labels = disagreement(model, hidden, 2)(images)
    for i, image in enumerate(images):
        leads = []
        for row in hidden:
            logits = model(image[None], row[None])[0]
            leads.append(min(1.0, max((v - logits[2]).item() for c, v in enumerate(logits) if c != 2)))
        assert scores[i].item() == pytest.approx(sum(leads) / 4, abs=1e-4)
        assert int(labels[i]) == int(model(image[None]).argmax())


def test_it_turns_mutants_against_the_label(model: ViTSRF) -> None:
    hidden, placement = hidden_of(model), Placement(8, 20, 80, 20)
    label = int(model(IMAGE[None]).argmax())
    attacks = [AdaptivePatch(hidden, steps=steps, mutants=len(hidden)) for steps in (0, 20)]
    ((_, begun),), ((name, attacked),) = (list(a.patched(model, IMAGE, label, placement, 0)) for a in attacks)
    assert name == "adaptive"

    def against(image: torch.Tensor) -> torch.Tensor:
        features = model.encode(image[None]).expand(len(hidden), -1, -1, -1)
        return model.classify(features, hidden).argmax(1) != label

    shown = shows_patch(model, hidden, placement)
    assert against(attacked)[shown].sum() > against(begun)[shown].sum()
    assert torch.equal(against(attacked)[~shown], against(IMAGE)[~shown])
    outside = ~placement.mask((96, 96))
    assert torch.equal(attacked * outside, IMAGE * outside)
    assert torch.equal(attacked, (attacked * 255).round() / 255)
    (again,) = attacks[1].patched(model, IMAGE, label, placement, 0)
    assert torch.equal(again[1], attacked)


@pytest.mark.parametrize("settings", [{"starts": 0}, {"steps": -1}, {"mutants": 0}, {"step_size": -0.1}])
def test_bad_settings(model: ViTSRF, settings: dict) -> None:
    with pytest.raises(ConfigurationError, match=r"must be (a whole number of at least|positive)"):
        AdaptivePatch(hidden_of(model), **settings)
