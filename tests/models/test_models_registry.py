"""The registry of base models."""

import pytest
import torch

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models import BlackBox, MaskedViT, ViTSRF, build, names, register, registry

SMALL = {"img_size": 64, "embed_dim": 16, "depth": 1, "num_heads": 2}


class Own(torch.nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))


def test_names_and_classes_of_the_package() -> None:
    assert names() == ("vit_srf", "masked_vit", "column_vit", "blackbox")
    assert list(registry.kinds()) == ["ViTSRF", "MaskedViT", "AblatedViT", "BlackBox"]


def test_a_model_is_made_by_name_with_its_settings() -> None:
    model = build("masked_vit", backbone="vit_tiny_patch16_224", num_classes=7, window=(2, 2), backbone_args=SMALL)
    assert type(model) is MaskedViT
    assert model.grid == (2, 2)
    assert model(torch.rand(1, 3, 64, 64)).shape == (1, 7)
    with pytest.raises(ConfigurationError, match="doesn't divide the token grid"):
        build("masked_vit", backbone="vit_tiny_patch16_224", window=(3, 1), backbone_args=SMALL)


def test_an_unknown_name_is_refused() -> None:
    expected = "unknown model 'vit'; choose one of: blackbox, column_vit, masked_vit, vit_srf"
    with pytest.raises(ConfigurationError, match=expected):
        build("vit")


def test_a_model_of_another_package() -> None:
    register("own", Own)
    register("own", Own)
    assert names()[-1] == "own"
    assert registry.kinds()["Own"] is Own
    assert build("own", width=5).width == 5


def test_names_of_other_classes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="the model 'vit_srf' of the class Own is registered as another class"):
        register("vit_srf", Own)
    twin = type("BlackBox", (torch.nn.Module,), {})
    with pytest.raises(ConfigurationError, match="'mine' of the class BlackBox is registered as another class"):
        register("mine", twin)
    assert registry.kinds()["BlackBox"] is BlackBox
    assert registry.kinds()["ViTSRF"] is ViTSRF
