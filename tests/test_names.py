"""The public names: they import, have their signatures, and load nothing before they are used."""

import importlib
import inspect
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import mrcert_pl

# Arguments in their order; those after * are known by their names alone.
SIGNATURES: dict[str, list[str]] = {
    "geometry.PatchSpec": ["size", "count"],
    "geometry.covering_masks": ["grid", "window_px", "patch", "stride"],
    "geometry.UnionLattice": ["masks", "windows", "order"],
    "mutants.PredictionTable": ["mutants", "labels", "margins"],
    "defenders.MRCert": ["patches", "certificate", "margin"],
    "defenders.MRCert.decide": ["self", "table"],
    "defenders.PatchCURE.decide": ["self", "table"],
    "defenders.MRCertCascade.decide": ["self", "table"],
    "defenders.register": ["name", "build", "rule"],
    "metrics.CertifiedRecoveryAccuracy": ["attacked"],
    "models.ViTSRF.encode": ["self", "images"],
    "models.ViTSRF.classify": ["self", "features", "hidden"],
    "models.checkpoints.load_patchcure": ["weights"],
    "guard.Guard.from_checkpoint": ["checkpoint", "defender", "patch"],
    "train": ["settings"],
    "evaluate": ["settings"],
    "attack": ["settings"],
    "audit_certificates": ["settings"],
    "audit_numerics": ["settings"],
    "compare_thresholds": ["settings"],
    "plan": ["settings"],
    "predict": ["settings"],
}
FIELDS = ("label", "certified", "round_trip", "case", "witness", "certified_patches")


def public(name: str) -> Any:
    found: Any = mrcert_pl
    for part in name.split("."):
        # A module is loaded before it is an attribute.
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_public_name_takes_what_it_promises(name: str) -> None:
    arguments = list(inspect.signature(public(name)).parameters)
    assert arguments[: len(SIGNATURES[name])] == SIGNATURES[name]


def test_verdicts_have_their_fields() -> None:
    from mrcert_pl.defenders import Verdicts

    assert list(inspect.signature(Verdicts).parameters)[: len(FIELDS)] == list(FIELDS)


def test_everything_that_the_package_names_is_there() -> None:
    for name in mrcert_pl.__all__:
        assert getattr(mrcert_pl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Evaluate'"):
        mrcert_pl.Evaluate  # noqa: B018
    with pytest.raises(ImportError):
        from mrcert_pl import NoSuchName  # noqa: F401


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [("geometry", "ColumnAblations", "Ablations"), ("defenders", "ColumnVote", "AblationVote")],
)
def test_an_earlier_name_warns(module: str, old: str, new: str) -> None:
    package = importlib.import_module(f"mrcert_pl.{module}")
    with pytest.warns(DeprecationWarning, match=f"{old} is deprecated; use {new}"):
        assert getattr(package, old) is getattr(package, new)
    assert old not in package.__all__
    with pytest.raises(AttributeError, match="no attribute 'NoSuchName'"):
        package.NoSuchName  # noqa: B018


def test_the_earlier_field_of_a_table_warns() -> None:
    from mrcert_pl.geometry import UnionLattice
    from mrcert_pl.mutants import PredictionTable

    table = PredictionTable.empty(UnionLattice((1, 2), 3, 1), 1, device=torch.device("cpu"))
    with pytest.warns(DeprecationWarning, match="mutants"):
        assert table.lattice is table.mutants
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(table.mutants) == 3


def in_a_new_process(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


def loads_none_of(code: str, *modules: str) -> str:
    return f"{code}\nimport sys\nloaded = {set(modules)} & {{*sys.modules}}\nassert not loaded, loaded"


SLOW = ("torch", "lightning", "timm", "hydra", "wandb", "matplotlib")


@pytest.mark.parametrize(
    "code", ["import mrcert_pl; mrcert_pl.__version__", "import mrcert_pl.cli.main", "from mrcert_pl.cli import usage"]
)
def test_nothing_slow_is_loaded_before_it_is_used(code: str) -> None:
    in_a_new_process(loads_none_of(code, *SLOW))


def test_evaluate_is_loaded_on_first_use() -> None:
    in_a_new_process(
        "import mrcert_pl, sys\n"
        "from mrcert_pl import evaluate, EvaluationSettings\n"
        "assert callable(evaluate) and 'torch' in sys.modules\n"
        "assert 'hydra' not in sys.modules"
    )


def test_a_guard_does_not_wait_for_what_trains_and_evaluates() -> None:
    in_a_new_process(loads_none_of("from mrcert_pl import Guard", "lightning", "torchmetrics", "sklearn", "hydra"))


def test_no_two_test_files_share_a_name() -> None:
    names = Counter(file.name for file in Path(__file__).parent.rglob("*.py") if file.name != "conftest.py")
    assert [name for name, number in names.items() if number > 1] == []
