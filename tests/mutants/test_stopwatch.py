"""Run times, against a model whose cost is known."""

import time

import pytest
import torch
from torch import Tensor

from mrcert_pl.mutants import stopwatch
from mrcert_pl.mutants.stopwatch import Stopwatch, timed

CPU = torch.device("cpu")


class Sleeper:
    """A model of four windows that takes a millisecond per visible window of a mutant."""

    windows = 4

    def encode(self, images: Tensor) -> Tensor:
        time.sleep(0.002)
        return images.mean((2, 3))

    def classify_mutants(self, features: Tensor, image: Tensor, hidden: Tensor) -> Tensor:
        time.sleep(0.001 * float((~hidden).sum()))
        return torch.zeros(len(hidden), 2)

    def mutant_tokens(self, hidden: Tensor) -> Tensor:
        return (~hidden).sum(1) + 1


def test_work_is_timed_and_its_result_returned() -> None:
    seconds, result = timed(lambda: time.sleep(0.01) or 7, CPU)
    assert result == 7
    assert 0.01 <= seconds < 1


def test_the_device_is_finished_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: steps.append(str(device)))
    timed(lambda: steps.append("work"), torch.device("cuda:1"))
    assert steps == ["cuda:1", "work", "cuda:1"]
    timed(lambda: steps.append("work"), CPU)
    assert steps[3:] == ["work"]


def test_mutants_between_the_timed_sizes_are_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_SECONDS", 0.0)
    monkeypatch.setattr(stopwatch, "_SIZES", 2)
    hidden = torch.tensor([[window < count for window in range(4)] for count in range(4)])
    seen: list[tuple[int, int]] = []
    watch = Stopwatch(Sleeper(), (8, 8), hidden, CPU, on_progress=lambda *numbers: seen.append(numbers))
    assert seen == [(1, 2), (2, 2)]
    assert watch.encoding >= 0.002
    seconds = watch.seconds(hidden)
    assert seconds.shape == (4,)
    assert (seconds.diff() < 0).all()
    assert torch.allclose(seconds.diff(), seconds.diff()[:1].expand(3))
