"""The model, the patch and the stride of a task: from a checkpoint, or given."""

from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_model import Grid
from small_tasks import SMALL_VIT

from mrcert_pl import DatasetSettings, ModelSettings
from mrcert_pl.defenders import MRCert
from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import describe_model
from mrcert_pl.results import TrainingResult
from mrcert_pl.tasks.subject import SubjectSettings, defender_of, load_subject, patch_setting


@pytest.fixture
def checkpoint(trained: TrainingResult) -> Path:
    return Path(str(trained.checkpoint))


def test_the_checkpoint_says_everything(checkpoint: Path, trained: TrainingResult) -> None:
    subject = load_subject(SubjectSettings(checkpoint))
    assert isinstance(subject.model, ViTSRF)
    assert not subject.model.training
    assert (subject.name, subject.stride, subject.patch.size, subject.patch.count) == ("vit_srf", 1, 32, 2)
    assert subject.weights_sha256 == trained.weights_sha256
    assert subject.config({"seed": 3}) == {"seed": 3, "model": {"name": "vit_srf", **subject.model.config}}


def test_patch_and_stride_that_are_given_take_precedence(checkpoint: Path) -> None:
    subject = load_subject(SubjectSettings(checkpoint, patch="16x48", stride=(2, 3), patches=1))
    assert (subject.patch_setting, subject.stride, subject.patch.count) == ("16x48", (2, 3), 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"required": {"split": 2}}, r"model\.split: 1 in the checkpoint, 2 given"),
        ({"required": {"name": "masked_vit"}}, r"model\.name: 'vit_srf' in the checkpoint, 'masked_vit' given"),
        ({"required": {"backbone_args.mlp_ratio": 3}}, r"backbone_args\.mlp_ratio: None in the checkpoint, 3 given"),
        ({"required": {"backbone_args.depth": 3}}, r"model\.backbone_args\.depth: 2 in the checkpoint, 3 given"),
        (
            {"dataset": DatasetSettings("cifar10")},
            r"classes: 10 \(0, 1, 2, \.\.\.\) in the checkpoint, 10 \(airplane, .*\) of dataset=cifar10",
        ),
    ],
)
def test_what_contradicts_the_checkpoint_is_shown_with_both_values(
    checkpoint: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_subject(SubjectSettings(checkpoint, **changed))


def test_what_agrees_with_the_checkpoint_may_be_given(checkpoint: Path) -> None:
    required = {"split": 1, "name": "vit_srf", "backbone_args.depth": 2, "pretrained": True}
    assert load_subject(SubjectSettings(checkpoint, ModelSettings("vit_srf", SMALL_VIT, ViTSRF), required)).stride == 1


@pytest.mark.parametrize("model", [None, ModelSettings("vit_srf", SMALL_VIT, ViTSRF)])
def test_views_are_free(checkpoint: Path, model: ModelSettings | None, tmp_path: Path) -> None:
    """A model is trained with one view and evaluated with two, or the reverse."""
    flip, one = ({"views": views} for views in ("flip", "one"))
    subject = load_subject(SubjectSettings(checkpoint, model, flip))
    assert subject.model.views == "flip"  # type: ignore[attr-defined]
    again = save(subject.model, tmp_path / "flip.ckpt", name="vit_srf", patch=32, classes=list("0123456789"))  # type: ignore[arg-type]
    assert load_subject(SubjectSettings(again, model)).model.views == "flip"  # type: ignore[attr-defined]
    assert load_subject(SubjectSettings(again, model, one)).model.views == "one"  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="unknown views 'both'"):
        load_subject(SubjectSettings(checkpoint, model, {"views": "both"}))


def save(model: torch.nn.Module, path: Path, **origin: Any) -> Path:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "mrcert": {**describe_model(model), **origin}}, path)  # type: ignore[arg-type]
    return path


def test_a_class_of_somebody_else_gets_its_weights(tmp_path: Path) -> None:
    theirs = Grid()
    file = save(theirs, tmp_path / "grid.ckpt", patch=4)
    with pytest.raises(CheckpointError, match="holds a Grid; this version knows AblatedViT"):
        load_subject(SubjectSettings(file))
    for given in (ModelSettings("grid", {}, Grid), Grid()):
        subject = load_subject(SubjectSettings(file, given))
        assert torch.equal(subject.model.state_dict()["head.weight"], theirs.head.weight)
        assert subject.patch.size == 4


class Loading(Grid):
    """A class of somebody else that reads files."""

    def __init__(self, weights: str | None = None, num_classes: int = 10) -> None:
        if weights is not None:
            pytest.fail(f"{weights} was opened")
        super().__init__(num_classes)


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        (ViTSRF, {"pretrained": True}, "would load other files by pretrained"),
        (ViTSRF, {"weights": "w.pth"}, "would load other files by weights"),
        (ViTSRF, {"backbone": "local-dir:here"}, "is not a tag of timm"),
        (ViTSRF, {"backbone_args": {"checkpoint_path": "w.pth"}}, "would load other files by checkpoint_path"),
        (Loading, {"weights": "w.pth"}, "would load other files by weights"),
    ],
)
def test_a_checkpoint_makes_nothing_else_be_loaded(
    tmp_path: Path, tiny_vit: ViTSRF, kind: Any, setting: dict[str, Any], message: str
) -> None:
    """Not even where its class is the one that the settings name, as on every command line."""
    model = tiny_vit if kind is ViTSRF else Loading()
    file = save(model, tmp_path / "forged.ckpt", patch=4, config={**describe_model(model)["config"], **setting})
    with pytest.raises(CheckpointError, match=message):
        load_subject(SubjectSettings(file, ModelSettings("theirs", {}, kind)))


def test_a_model_of_another_class_is_no_subject_for_these_weights(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError):
        load_subject(SubjectSettings(checkpoint, Grid()))


def test_without_a_checkpoint(tmp_path: Path, tiny_vit: ViTSRF) -> None:
    with pytest.raises(ConfigurationError, match="give a checkpoint, or a model whose weights are known"):
        load_subject(SubjectSettings(patch=32))
    with pytest.raises(ConfigurationError, match="names no patch; give patch="):
        load_subject(SubjectSettings(model=tiny_vit))
    given = load_subject(SubjectSettings(model=tiny_vit, patch=32))
    assert given.model is tiny_vit
    assert (given.name, given.stride) == ("ViTSRF", 1)
    assert load_subject(SubjectSettings(model=ModelSettings("vit_srf", SMALL_VIT), patch=32)).name == "vit_srf"
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*x\.ckpt; make it with:  train it"):
        load_subject(SubjectSettings(tmp_path / "x.ckpt", made_by="train it"))


def test_defenders_by_name_get_the_number_of_patches() -> None:
    made: Any = defender_of("mrcert", 1)
    assert (made.name, made.patches) == ("mrcert", 1)
    own = MRCert(patches=3)
    assert defender_of(own, 1) is own


@pytest.mark.parametrize(
    ("size", "setting"), [(32, 32), ((16, 48), "16x48"), ("2%", "2%"), ("16x48,48x16", ("16x48", "48x16"))]
)
def test_a_patch_in_results_is_that_of_the_configuration(size: Any, setting: object) -> None:
    from mrcert_pl.geometry import PatchSpec

    assert patch_setting(PatchSpec(size)) == setting
