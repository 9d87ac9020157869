"""Models from checkpoints alone."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_srf import SMALL, noisy_srf, random_images

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models.checkpoints import Checkpoint, describe_model
from mrcert_pl.models.rebuild import rebuild

MODEL = noisy_srf(hidden_tokens="drop", head_order="norm_pool")
CHECKPOINT = Checkpoint(Path("best.ckpt"), describe_model(MODEL), MODEL.state_dict())


def changed(**config: object) -> Checkpoint:
    return replace(CHECKPOINT, origin={**CHECKPOINT.origin, "config": {**MODEL.config, **config}})


def test_the_model_is_the_one_that_was_saved() -> None:
    """The other kinds are made again in the tests of the guard."""
    model = rebuild(CHECKPOINT)
    assert not model.training
    assert describe_model(model) == describe_model(MODEL)
    images, hidden = random_images(2), torch.tensor([[True, False, False, False]]).expand(2, -1)
    assert torch.equal(model(images, hidden), MODEL(images, hidden))


def test_what_this_version_does_not_know() -> None:
    strange = replace(CHECKPOINT, origin={**CHECKPOINT.origin, "model": "ViTXL"})
    with pytest.raises(CheckpointError, match=r"best.ckpt holds a ViTXL; this version knows AblatedViT, BlackBox, Mas"):
        rebuild(strange)
    with pytest.raises(CheckpointError, match=r"settings of ViTSRF that this version doesn't know .*colour"):
        rebuild(changed(colour="blue"))


def test_tensors_that_do_not_fit() -> None:
    with pytest.raises(CheckpointError, match="don't fit its own description"):
        rebuild(changed(num_classes=7))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"pretrained": True}, "would load other files by pretrained of ViTSRF"),
        ({"weights": "/etc/passwd"}, "would load other files by weights of ViTSRF"),
        ({"head_rows": [0]}, "doesn't know .head_rows"),
        ({"_target_": "os.system"}, "doesn't know ._target_"),
        ({"backbone": "hf-hub:someone/something"}, "which is not a tag of timm"),
        ({"backbone": "local-dir:/tmp"}, "which is not a tag of timm"),
        ({"backbone": "../vit"}, "which is not a tag of timm"),
        ({"backbone_args": {"pretrained": True}}, "would load other files by pretrained of its backbone"),
        ({"backbone_args": {"checkpoint_path": "x"}}, "would load other files by checkpoint_path"),
        ({"backbone_args": {"pretrained_cfg_overlay": {"file": "x"}}}, "would load other files by pretrained_cfg_over"),
        ({"num_classes": "5"}, "num_classes of ViTSRF must be int, got '5'"),
        ({"num_classes": True}, "num_classes of ViTSRF must be int, got True"),
        ({"window": "14"}, "window of ViTSRF must be list or tuple, got '14'"),
        ({"split": -1}, "settings of ViTSRF that this version doesn't know"),
        ({"window": []}, "settings of ViTSRF that this version doesn't know"),
        ({"backbone_args": {"depth": "many"}}, "settings of ViTSRF that this version doesn't know"),
        # On paper this needs 10 TB; no memory is reserved before the shapes are compared.
        ({"backbone_args": {**SMALL, "embed_dim": 2_000_000}}, "don't fit its own description"),
    ],
)
def test_settings_that_would_load_something_or_make_no_sense(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, object], reason: str
) -> None:
    monkeypatch.setattr("mrcert_pl.models.backbones.hub_weights", lambda name: pytest.fail("the network was asked"))
    with pytest.raises(CheckpointError, match=reason):
        rebuild(changed(**config))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["backbone", "num_classes", "window", "split", "head_order", "hidden", "backbone_args", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-3, 20) | st.floats() | st.text(max_size=8),
            lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=2),
            max_leaves=6,
        ),
    )
)
def test_any_settings_are_refused_or_make_the_model(config: dict[str, object]) -> None:
    with suppress(CheckpointError):
        made = rebuild(changed(**config)).config
        assert made == MODEL.config | config
