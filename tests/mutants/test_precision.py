import pytest
import torch

from mrcert_pl.mutants.precision import full_float32


@pytest.fixture
def hasty():
    """A process that has chosen speed."""
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision("highest")


def chosen():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def test_it_holds_inside_alone(hasty):
    with full_float32():
        assert chosen() == ("highest", False)
    assert chosen() == ("medium", True)


def test_errors_give_the_choice_back(hasty):
    with pytest.raises(ZeroDivisionError), full_float32():
        1 / 0  # noqa: B018
    assert chosen() == ("medium", True)


@pytest.fixture(params=["tf32", "ieee"])
def newer(request):
    """A process that has chosen by PyTorch's newer interface: those parts of it, and what it chose."""
    parts = torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv", None)
    if not hasattr(parts[1], "fp32_precision"):
        pytest.skip("this PyTorch has the older interface alone")
    before = [part.fp32_precision for part in parts]
    for part in parts:
        part.fp32_precision = request.param
    yield parts, request.param
    for part, precision in zip(parts, before, strict=True):
        part.fp32_precision = precision


def test_a_process_that_chose_by_the_newer_interface(newer):
    parts, precision = newer
    with full_float32():
        assert "tf32" not in {part.fp32_precision for part in parts}
    assert [part.fp32_precision for part in parts] == [precision, precision]
