"""Classes that the configuration names."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mrcert_pl.cli.instantiate import class_of, made
from mrcert_pl.data import ImageDataModule
from mrcert_pl.errors import ConfigurationError


def test_a_class_and_an_object() -> None:
    assert class_of("dataset", {"_target_": "mrcert_pl.data.ImageDataModule"}) is ImageDataModule
    node = OmegaConf.create({"_target_": "mrcert_pl.defenders.build", "name": "mrcert"})
    assert made(node, patches=1).patches == 1


def test_the_reason_is_that_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of one's own whose file needs a package that is missing: its name is right."""
    (tmp_path / "needs_another.py").write_text("import a_package_that_is_missing\n\n\nclass Model:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    missing = "No module named 'a_package_that_is_missing'"
    with pytest.raises(ConfigurationError, match=missing):
        class_of("model", {"_target_": "needs_another.Model"})
    cfg = OmegaConf.create({"callbacks": {"own": {"_target_": "needs_another.Model"}}})
    with pytest.raises(ConfigurationError, match=rf"callbacks\.own\._target_ .*{missing}"):
        made(cfg.callbacks.own)
