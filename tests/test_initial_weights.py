"""Settings of the weights that a model starts from."""

import ast
import inspect
from pathlib import Path

import pytest

import mrcert_pl
from mrcert_pl.initial_weights import INITIAL_WEIGHTS
from mrcert_pl.models.registry import kinds


@pytest.mark.parametrize("kind", kinds().values(), ids=kinds())
def test_every_model_takes_them(kind: type) -> None:
    assert {*INITIAL_WEIGHTS} <= {*inspect.signature(kind).parameters}


def test_one_module_lists_them() -> None:
    """Otherwise a further setting of this kind would be missed somewhere."""
    source = Path(mrcert_pl.__file__).parent
    listing = [
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict)
        if {*INITIAL_WEIGHTS}
        <= {
            each.value
            for each in (node.keys if isinstance(node, ast.Dict) else node.elts)
            if isinstance(each, ast.Constant)
        }
    ]
    assert listing == ["initial_weights.py"]
