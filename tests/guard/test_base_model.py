"""Base models of a guard: what is accepted, and one sentence for everything else."""

from typing import Any

import pytest
import timm
import torch
from small_models import PATCH, images_for, kinds
from torch import nn
from torchvision.models import resnet18

from mrcert_pl import Guard
from mrcert_pl.defenders import PatchCURE
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.guard.base_model import device_named
from mrcert_pl.models import BlackBox

NORMALISATION: dict[str, Any] = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}


class Output:
    """Like an output of transformers."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


class Outputs(nn.Module):
    """A classifier whose output is made by a function."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(12, 5))
        self.make = make

    def forward(self, images: torch.Tensor) -> Any:
        return self.make(self.layers(images))


def test_a_wrapped_timm_model_is_the_black_box() -> None:
    box = kinds()["blackbox"].model
    wrapped = Guard.wrap(box.net, 15, image_px=64, masks_per_axis=3, device="cpu")
    images = images_for(box)
    expected = Guard(box, PatchCURE(), 15)(images)
    found = wrapped(images)
    assert [(v.label, v.certified, v.case, v.witness_px) for v in found] == [
        (v.label, v.certified, v.case, v.witness_px) for v in expected
    ]
    assert {v.case for v in found} > {1} or len({v.label for v in found}) > 1


@pytest.mark.parametrize("make", [lambda logits: logits, Output, lambda logits: {"logits": logits}])
def test_outputs_of_every_library(make: Any) -> None:
    guard = Guard.wrap(Outputs(make), 8, list("abcde"), **NORMALISATION, image_px=(32, 32), masks_per_axis=3)
    (verdict,) = guard(torch.rand(3, 32, 32))
    assert verdict.name == "abcde"[verdict.label]
    assert guard.defender.name == "patchcure"


def test_a_torchvision_model_in_training_is_evaluated() -> None:
    net = resnet18(num_classes=3)
    guard = Guard.wrap(net, 8, **NORMALISATION, image_px=32, masks_per_axis=2, device="cpu")
    assert not net.training
    images = torch.rand(2, 3, 32, 32)
    assert [v.base_label for v in guard(images, "label")] == net(
        (images - torch.tensor(NORMALISATION["mean"])[:, None, None])
        / torch.tensor(NORMALISATION["std"])[:, None, None]
    ).argmax(1).tolist()


def test_a_timm_model_states_its_normalisation_and_size() -> None:
    net = timm.create_model("test_vit")
    guard = Guard.wrap(net, 32, masks_per_axis=2)
    assert guard.model.image_px == net.pretrained_cfg["input_size"][1:]
    assert guard.model.mean.flatten().tolist() == pytest.approx(net.pretrained_cfg["mean"])  # type: ignore[attr-defined]


def test_several_patches_need_another_defender_and_fewer_masks() -> None:
    net = Outputs(lambda logits: logits)
    guard = Guard.wrap(net, 8, **NORMALISATION, image_px=32, masks_per_axis=4, defender="mrcert_sharp")
    assert guard(torch.rand(3, 32, 32))[0].certified_patches in (-1, 0, 1, 2)
    with pytest.raises(ConfigurationError, match=r"the nearest that works: model\.masks_per_axis="):
        Guard.wrap(net, 8, **NORMALISATION, image_px=32, masks_per_axis=3, defender="mrcert_sharp")


class Empty(nn.Module):
    def forward(self, images: torch.Tensor) -> None:
        return None


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (7, NORMALISATION, "a int is not a torch.nn.Module from images to logits"),
        (resnet18, NORMALISATION, "a function is not a torch.nn.Module"),
        (nn.Linear(3, 3), NORMALISATION, r"a Linear fails on an image \[1, 3, 32, 32\]: "),
        (
            nn.Conv2d(3, 5, 1),
            NORMALISATION,
            r"must return logits .* got torch.float32 \[1, 5, 32, 32\]",
        ),
        (Empty(), NORMALISATION, r"must return logits .* got NoneType"),
        (Outputs(lambda logits: logits.argmax(1)), NORMALISATION, r"got torch.int64 \[1\]"),
        (Outputs(lambda logits: logits[:, :1]), NORMALISATION, "of at least two classes"),
        (Outputs(lambda logits: logits[:0]), NORMALISATION, r"got \[0, 5\] for one image"),
        (Outputs(lambda logits: logits), {}, r"an Outputs does not state its normalisation|give mean= and std="),
        (Outputs(lambda logits: logits), {"mean": (0, 0), "std": (1, 1)}, "one value per colour channel"),
        (Outputs(lambda logits: logits), {"mean": (0, 0, 0), "std": (1, 0, 1)}, "std above 0"),
        (Outputs(lambda logits: logits), {"mean": "abc", "std": (1, 1, 1)}, "must be three numbers each, got 'abc'"),
        (Outputs(lambda logits: logits).double(), NORMALISATION, "is torch.float64, not float32; call model.float()"),
        (Outputs(lambda logits: logits).half(), NORMALISATION, "is torch.float16, not float32"),
        (Outputs(lambda logits: logits).to("meta"), NORMALISATION, "is on the meta device; load the weights first"),
        (nn.Linear(3, 3, dtype=torch.complex64), NORMALISATION, "is torch.complex64, not float32"),
    ],
)
def test_modules_that_cannot_be_wrapped(module: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Guard.wrap(module, 8, image_px=32, masks_per_axis=2, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 33}, "larger than the image"),
        ({"patch": "big"}, "can't read the patch size 'big'"),
        ({"classes": ["a"]}, "the model has 5 classes, got 1 names"),
        ({"patch": 7.5}, "can't read the patch size 7.5"),
        ({"classes": "abcde"}, "the names of the classes must be a list, got 'abcde'"),
        ({"mean": (123.7, 116.3, 103.5)}, "mean and std are those of images in .0, 1., so none may be above 1"),
        ({"std": (58.4, 57.1, 57.4)}, "divide those of images from 0 to 255 by 255"),
        ({"masks_per_axis": 0}, "masks_per_axis must be a whole number of at least 1"),
        ({"defender": "vot"}, "WrappedClassifier has none"),
        ({"defender": "none"}, "unknown defender 'none'"),
        ({"device": "tpu"}, "there is no device 'tpu' here"),
        ({"device": "meta"}, "there is no device 'meta' here"),
    ],
)
def test_settings_of_a_wrapped_module(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Guard.wrap(
            Outputs(lambda x: x), **{"patch": 8, "image_px": 32, "masks_per_axis": 2, **NORMALISATION, **settings}
        )


@pytest.mark.parametrize("model", [7, None, nn.Linear(3, 3), resnet18(num_classes=3)])
def test_objects_that_are_no_base_model(model: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a base model, it has no windows, encode,") as refused:
        Guard(model, "patchcure", 32)
    assert ("Guard.wrap(module, patch=32, ...)" in str(refused.value)) == isinstance(model, nn.Module)


def test_a_path_is_no_model() -> None:
    with pytest.raises(ConfigurationError, match=r"best\.ckpt is a path; load it with Guard\.from_checkpoint"):
        Guard("best.ckpt", "patchcure", 32)


def test_a_base_model_in_another_precision_is_refused() -> None:
    model = BlackBox(
        "test_vit", num_classes=5, patch=15, masks_per_axis=3, image_px=(64, 64), backbone_args={"img_size": 64}
    )
    with pytest.raises(ConfigurationError, match=r"is torch\.float64, not float32"):
        Guard(model.double(), "patchcure", PATCH)


def test_a_missing_gpu_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"no device 'cuda' here: PyTorch finds no GPU; choose auto or cpu$"):
        device_named("cuda")


def test_devices() -> None:
    assert device_named("cpu").type == "cpu"
    assert device_named("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("cuda:99", "gpu", "", "xla", 3):
        with pytest.raises(ConfigurationError, match="there is no device"):
            device_named(name)  # type: ignore[arg-type]
