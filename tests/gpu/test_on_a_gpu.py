"""What holds on a CPU holds on a GPU; skipped without one. ``benchmarks/gpu.sh`` runs these first."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks import Machine
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.models import MaskedViT, ViTSRF
from mrcert_pl.mutants import MutantEvaluator, PredictionTable
from mrcert_pl.mutants.precision import full_float32
from mrcert_pl.mutants.stopwatch import timed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

GPU = torch.device("cuda", 0)
ARGUMENTS = {"embed_dim": 64, "depth": 4, "num_heads": 2}


class Everything:
    def next_queries(self, table: PredictionTable) -> torch.Tensor:
        return ~table.evaluated


@pytest.fixture(params=[ViTSRF, MaskedViT])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    split = {"split": 2} if request.param is ViTSRF else {}
    return request.param("vit_tiny_patch16_224", num_classes=10, backbone_args=ARGUMENTS, **split).eval()


@pytest.fixture
def lattice(model) -> UnionLattice:
    return covering_lattice(model.grid, model.window_px, PatchSpec(32), order=3, stride=1 if model.grid[0] == 1 else 4)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 224, 224)


def on_gpu(model, lattice, images, precision="32-true", budget=None) -> PredictionTable:
    with Machine(GPU, precision).arithmetic():
        return on_cpu(MutantEvaluator(model.to(GPU), lattice, budget).evaluate(images.to(GPU), Everything()))


def on_cpu(table: PredictionTable) -> PredictionTable:
    return PredictionTable(table.mutants, table.labels.cpu(), table.margins.cpu())


def agrees(found: PredictionTable, expected: PredictionTable, fraction: float) -> None:
    """Labels agree wherever the margin is above a fraction of the largest one, and such margins are there."""
    trusted = expected.margins > fraction * expected.margins.max()
    assert trusted.float().mean() > 0.5
    assert torch.equal(found.labels[trusted], expected.labels[trusted])
    assert (found.margins - expected.margins).abs().max() <= fraction * expected.margins.max()


def test_labels_with_a_margin_equal_those_of_the_cpu(model, lattice, images) -> None:
    expected = MutantEvaluator(model, lattice).evaluate(images, Everything())
    agrees(on_gpu(model, lattice, images), expected, 1e-4)


def test_bfloat16_is_used_and_keeps_labels_with_a_margin(model, lattice, images) -> None:
    expected = MutantEvaluator(model, lattice).evaluate(images, Everything())
    found = on_gpu(model, lattice, images, "bf16-mixed")
    agrees(found, expected, 0.1)
    assert not torch.equal(found.margins, expected.margins)


def test_the_label_of_a_mutant_does_not_depend_on_its_batch(model, lattice, images) -> None:
    agrees(on_gpu(model, lattice, images, budget=200), on_gpu(model, lattice, images), 1e-4)


def test_the_fast_path_equals_the_dense_one(model, lattice, images) -> None:
    model.to(GPU)
    hidden = lattice.hidden.to(GPU)
    hidden = hidden[hidden.sum(1) == hidden[-1].sum()][:32]
    image = torch.zeros(len(hidden), dtype=torch.long, device=GPU)
    with torch.inference_mode(), full_float32():
        features = model.encode(images[:1].to(GPU))
        dense = model.classify(features.expand(len(hidden), *features.shape[1:]), hidden)
        fast = model.classify_mutants(features, image, hidden)
    torch.testing.assert_close(fast, dense, rtol=1e-4, atol=1e-5)


@pytest.fixture
def _little_memory() -> Iterator[None]:
    """Leave this process a quarter of a GiB."""
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(GPU) + (1 << 28)) / whole, GPU)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, GPU)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("_little_memory")
def test_the_token_budget_is_halved_when_memory_runs_out(model, lattice, images) -> None:
    expected = MutantEvaluator(model, lattice).evaluate(images, Everything())
    images = images.repeat(64, 1, 1, 1)[:128]
    evaluator = MutantEvaluator(model.to(GPU), lattice, 1 << 24)
    found = on_cpu(evaluator.evaluate(images.to(GPU), Everything()))
    assert evaluator.token_budget < 1 << 24
    agrees(PredictionTable(lattice, found.labels[:4], found.margins[:4]), expected, 1e-4)


def test_a_time_lasts_until_the_device_has_finished() -> None:
    a = torch.randn(4096, 4096, device=GPU)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def work() -> None:
        begin.record()
        for _ in range(20):
            torch.mm(a, a)
        end.record()

    work()
    seconds, _ = timed(work, GPU)
    assert seconds >= 0.95 * begin.elapsed_time(end) / 1000


def test_tf32_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.get_device_capability(GPU) < (8, 0):
        pytest.skip("this device has no TF32")
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    a, b = torch.randn(2, 512, 512, device=GPU)
    exact = a.double() @ b.double()

    def error() -> float:
        return float(((a @ b).double() - exact).abs().max() / exact.abs().max())

    assert error() > 1e-4
    with full_float32():
        assert error() < 1e-5
    assert error() > 1e-4
