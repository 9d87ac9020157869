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
