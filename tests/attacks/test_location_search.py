from typing import ClassVar

import pytest
import torch
from torch import nn

from mrcert_pl.attacks import LocationSearch, PatchIFGSM, Placement
from mrcert_pl.attacks.location_search import _around
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec

IMAGE = torch.full((3, 64, 64), 128 / 255)


class WeakSpot(nn.Module):
    """Class 0 unless the mean of one square of 8 px is bright enough; no other pixel counts."""

    windows = 1
    image_px = (64, 64)
    num_classes = 2
    config: ClassVar[dict[str, object]] = {}

    def __init__(self, top: int, left: int) -> None:
        super().__init__()
        self.spot = (slice(None), slice(None), slice(top, top + 8), slice(left, left + 8))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def classify_mutants(self, features: torch.Tensor, image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def mutant_tokens(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.full((len(hidden),), 16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        light = images[self.spot].flatten(1).mean(1)
        return torch.stack([torch.full_like(light, 0.9), light], 1) * 10


@pytest.mark.parametrize("spot", [(3, 5), (50, 21), (40, 56)])
def test_it_finds_the_weak_spot(spot: tuple[int, int]) -> None:
    model = WeakSpot(*spot).eval()
    attack = LocationSearch(PatchSpec(8), starts=1, steps=20, coarse_px=7, fine_px=1, coarse_steps=20)
    found = attack.attack(model, IMAGE, 0, 0)
    assert found.placement[:2] == spot
    assert found.prediction == 1
    assert PatchIFGSM(PatchSpec(8), starts=1, steps=20).attack(model, IMAGE, 0, 0).prediction == 0


def test_a_finer_search_is_never_worse() -> None:
    model, losses = WeakSpot(3, 5).eval(), []
    for fine_px in (8, 4, 2, 1):
        attack = LocationSearch(PatchSpec(8), starts=1, steps=3, coarse_px=8, fine_px=fine_px)
        losses.append(attack.attack(model, IMAGE, 0, 0).loss)
    assert losses == sorted(losses)


def test_early_stop_ends_the_search() -> None:
    calls = []
    model = WeakSpot(0, 0).eval()
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    counts = []
    for stop in (True, False):
        attack = LocationSearch(PatchSpec(8), starts=1, steps=5, coarse_px=56, coarse_steps=12, early_stop=stop)
        assert attack.attack(model, IMAGE, 0, 0).prediction == 1
        counts.append(len(calls))
        calls.clear()
    assert counts[0] < counts[1]


class Scripted(WeakSpot):
    """Three classes; every call has the next logits of a list, whatever the images show."""

    num_classes = 3

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__(0, 0)
        self.script = iter(logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([next(self.script)]).expand(len(images), -1) + 0 * images.sum((1, 2, 3))[:, None]


def test_early_stop_looks_at_the_highest_loss_of_the_search_too() -> None:
    unsure, lower, highest = [0.1, 0.0, 0.0], [0.0, 0.5, -20.0], [0.0, 3.0, 0.0]
    model = Scripted([unsure, lower, highest]).eval()
    attack = LocationSearch(PatchSpec(64), starts=1, steps=2, coarse_steps=0, fine_px=32, early_stop=True)
    assert attack.attack(model, IMAGE, 0, 0).prediction == 1


def test_neighbours_stay_inside() -> None:
    near = _around(Placement(0, 54, 8, 8), 4, (64, 64))
    assert {(place.top, place.left) for place in near} == {(top, left) for top in (0, 4) for left in (50, 54, 56)}


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    "settings",
    [{"fine_px": 0}, {"coarse_px": 2}, {"keep": 0}, {"keep": 1.5}, {"coarse_px": None}, {"coarse_steps": -1}],
)
def test_bad_settings(settings: dict) -> None:
    with pytest.raises(ConfigurationError):
        LocationSearch(PatchSpec(8), **settings)
