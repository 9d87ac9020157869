"""Counts of the benchmark, and the work of each method."""

import math
import subprocess
import sys
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
import torch

from benchmarks import Machine, Method, compare, gradient_methods, labelling_methods, machine
from mrcert_pl.defenders import MRCert
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.models import ViTSRF

MACHINE = Machine(torch.device("cpu"), "32-true")


@pytest.fixture
def lattice(tiny_vit: ViTSRF) -> UnionLattice:
    return covering_lattice(tiny_vit.grid, tiny_vit.window_px, PatchSpec(32), order=4)


def test_rows_are_medians_of_turns_scaled_to_one_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "peak_flops", 1e9)
    times = iter([100.0, 100.0, 4.0, 2.0, 8.0, 1.0, 6.0, 2.0])
    monkeypatch.setattr(Machine, "timed", lambda self, work: (next(times), work()))
    finished: list[None] = []
    slow = Method("slow", lambda: (3, 3e9), items=1, scale=10, sample=3)
    fast = Method("fast", lambda: (8, 4e9), items=4)
    first, second = compare("part", [slow, fast], MACHINE, 4, lambda: finished.append(None))
    assert len(finished) == 8
    # The first round warms up: 4, 8 and 6 s for a tenth of the work against 2, 1 and 2 s for four images.
    assert (first.seconds, first.mutants, first.gflops, first.faster, first.sample) == (60.0, 30.0, 30.0, 1.0, 3)
    assert (second.seconds, second.mutants, second.gflops, second.sample) == (0.5, 2.0, 1.0, None)
    assert second.faster == sorted([40 / 0.5, 80 / 0.25, 60 / 0.5])[1]
    assert first.of_peak == pytest.approx(30e9 / 60 / 1e9)
    assert first.peak_mib is None or first.peak_mib > 1


def test_methods_count_their_mutants_and_operations(tiny_vit: ViTSRF, lattice: UnionLattice) -> None:
    defenders = [MRCert(), MRCert(certificate="sharp")]
    methods = labelling_methods(tiny_vit, lattice, torch.rand(2, 3, 224, 224), defenders, sample=6)
    rows = {row.method: row for row in compare("part", methods, MACHINE, rounds=1)}
    assert len(rows) == 4 + 2 * 3
    assert rows["as published"].faster == 1
    tuples = len(list(combinations_with_replacement(lattice.masks, 4)))
    dense = float(tiny_vit.mutant_flops(torch.zeros(1, 14, dtype=torch.bool))[0])
    assert rows["full forward per tuple"].mutants == pytest.approx(tuples)
    assert rows["full forward per tuple"].gflops == pytest.approx(tuples * (dense + tiny_vit.encode_flops()) / 1e9)
    assert rows["distinct unions"].gflops == pytest.approx(len(lattice) * dense / 1e9)
    engine = rows["engine, all mutants"]
    assert engine.mutants == len(lattice)
    expected = float(tiny_vit.mutant_flops(lattice.hidden).sum()) + tiny_vit.encode_flops()
    assert engine.gflops == pytest.approx(expected / 1e9)
    for name in ("mrcert", "mrcert_sharp"):
        counts = [rows[f"{name}: {want}"].mutants for want in ("label", "certificate", "round trip")]
        assert lattice.size(2) <= counts[0] <= counts[1] <= counts[2] <= len(lattice)
    assert all(0 < row.of_peak < 10 and row.seconds > 0 for row in rows.values())


def test_the_compiled_engine_labels_as_many_mutants(tiny_vit: ViTSRF) -> None:
    lattice = covering_lattice(tiny_vit.grid, tiny_vit.window_px, PatchSpec(32), order=1)
    *_, engine, compiled = labelling_methods(
        tiny_vit, lattice, torch.rand(1, 3, 224, 224), [], sample=1, backend="eager"
    )
    assert (engine.name, compiled.name) == ("engine, all mutants", "engine, compiled")
    torch._dynamo.utils.counters.clear()
    assert compiled.work() == engine.work()
    assert torch._dynamo.utils.counters["frames"]["ok"] >= 1
    assert not torch._dynamo.utils.counters["graph_break"]
    assert "classify_windows" not in vars(tiny_vit)


def test_the_full_forward_is_one_dense_forward_pass_for_each_tuple(tiny_vit: ViTSRF, lattice: UnionLattice) -> None:
    seen = []

    class Spy(ViTSRF):
        def classify(self, features: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
            seen.append((len(features), hidden))
            return super().classify(features, hidden)

    once, direct, *_ = labelling_methods(
        Spy(**tiny_vit.config).eval(), lattice, torch.rand(1, 3, 224, 224), [], sample=20
    )
    for method in (direct, once):
        seen.clear()
        method.work()
        assert sum(count for count, _ in seen) == 20 == method.sample
        masks = torch.cat([hidden for _, hidden in seen])
        assert all((lattice.hidden == row).all(1).any() for row in masks)
        assert method.scale * 20 == pytest.approx(1365)


def test_a_model_that_drops_hidden_tokens_has_no_dense_path_to_be_charged_for() -> None:
    backbone_args = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    model = ViTSRF(
        "vit_tiny_patch16_224", num_classes=10, split=1, hidden_tokens="drop", backbone_args=backbone_args
    ).eval()
    lattice = covering_lattice(model.grid, model.window_px, PatchSpec(32), order=4)
    once, direct, *_ = labelling_methods(model, lattice, torch.rand(1, 3, 224, 224), [], sample=200)
    (_, whole), (_, encoded_once) = direct.work(), once.work()
    assert whole == pytest.approx(encoded_once + 200 * model.encode_flops())
    tuples = combinations_with_replacement(lattice.masks, 4)
    columns = [lattice.index(a | b | c | d) for a, b, c, d in tuples]
    mean = float(model.mutant_flops(lattice.hidden[columns]).double().mean())
    assert encoded_once / 200 == pytest.approx(mean, rel=0.05)


def test_gradient_methods_share_their_gradients(tiny_vit: ViTSRF, lattice: UnionLattice) -> None:
    hidden = lattice.hidden[torch.randint(len(lattice), (4,))]
    images, labels = torch.rand(4, 3, 224, 224), torch.arange(4)
    methods = {method.name: method for method in gradient_methods(tiny_vit, hidden, images, labels)}
    gradients = []
    for name in ("training, dense", "training, visible tokens", "training, nothing hidden"):
        _, flops = methods[name].work()
        assert tiny_vit.head.weight.grad is not None
        gradients.append((tiny_vit.head.weight.grad.clone(), flops))
    torch.testing.assert_close(gradients[0][0], gradients[1][0], rtol=1e-3, atol=1e-6)
    assert not torch.allclose(gradients[0][0], gradients[2][0], rtol=1e-3)
    assert gradients[1][1] < gradients[0][1] == gradients[2][1]
    methods["attack, steps"].work()


def test_time_is_that_of_the_work() -> None:
    assert Machine(torch.device("cpu"), "bf16-mixed").dtype == torch.bfloat16
    seconds, result = MACHINE.timed(lambda: 7)
    assert (result, 0 <= seconds < 1) == (7, True)


_FILLS_256_MIB = """
import torch
from benchmarks import Machine

machine = Machine(torch.device("cpu"), "32-true")
torch.ones(96 << 20)
machine.forget_peak_memory()
before = machine.peak_mib()
big = torch.ones(64 << 20)
print(before, machine.peak_mib())
"""


def test_memory_is_that_of_the_work() -> None:
    # In a process of its own: here the allocator may have kept memory of earlier tests, and the peak would not move.
    command, root = [sys.executable, "-c", _FILLS_256_MIB], Path(__file__).parents[2]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    before, after = map(float, printed.split())
    assert math.isnan(before) or 0.9 * 256 < after - before < 1.1 * 256


def test_a_peak_that_cannot_be_reset_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", denied)
    measured = Machine(torch.device("cpu"), "32-true")
    measured.forget_peak_memory()
    assert math.isnan(measured.peak_mib())


def test_the_peak_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SIDES", {"cpu": (8, 16)})
    times = iter([2.0, 1.0, 4.0, 16.0, 16.0, 8.0])
    monkeypatch.setattr(Machine, "timed", lambda self, work: (next(times), work()))
    measured = Machine(torch.device("cpu"), "32-true")
    # 1,024 operations in a second are as fast as 8,192 in eight.
    assert measured.peak_flops == 1024
    # Asked again, it is not measured again: no times are left.
    assert measured.peak_flops == 1024
