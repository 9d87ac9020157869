"""Settings of the weights that a model starts from."""

import inspect

import pytest

from mrcert_pl.initial_weights import INITIAL_WEIGHTS
from mrcert_pl.models.registry import kinds


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_every_model_takes_them(kind: type) -> None:
    assert {*INITIAL_WEIGHTS} <= {*inspect.signature(kind).parameters}
