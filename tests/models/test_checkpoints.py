import json
import os
import pickle

import pytest
import torch
from noisy_srf import SMALL, noisy_srf, random_images
from safetensors.torch import save_file

from mrcert_pl.errors import CheckpointError
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import (
    describe_model,
    digest_of,
    read_checkpoint,
    read_description,
    restore,
    weights_digest,
    with_digest,
    write_weights,
)


def lightning_checkpoint(model, **changes):
    """What Lightning saves of a MaskedFinetuning: the model under ``model.``, and much that is not of interest here."""
    origin = describe_model(model) | {"dataset": "digits", "classes": ["a", "b"], "patch": "2%", "seed": 0} | changes
    return {
        "epoch": 3,
        "global_step": 120,
        "pytorch-lightning_version": "2.6.4",
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()} | {"ema.x": torch.ones(2)},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(120.0)}}, "param_groups": [{"lr": 1e-3}]}],
        "loops": {"fit_loop": {"state_dict": {}}},
        "mrcert": origin,
    }


@pytest.fixture(scope="module")
def model():
    return noisy_srf(split=1)


@pytest.fixture
def path(tmp_path, model):
    """A good checkpoint."""
    path = tmp_path / "model.ckpt"
    torch.save(lightning_checkpoint(model), path)
    return path


def test_a_restored_model_gives_the_same_logits(path, model):
    other = noisy_srf(seed=1, split=1)
    images = random_images(2)
    hidden = torch.tensor([[True, False, False, False], [False, True, True, False]])
    assert not torch.equal(other(images, hidden), model(images, hidden))
    restore(other, read_checkpoint(path))
    assert torch.equal(other(images, hidden), model(images, hidden))
    assert weights_digest(other) == weights_digest(model)


def test_a_checkpoint_says_where_it_comes_from(path, model):
    checkpoint = read_checkpoint(str(path))
    assert checkpoint.path == path
    assert checkpoint.weights.keys() == model.state_dict().keys()
    assert checkpoint.origin["model"] == "ViTSRF"
    assert checkpoint.origin["config"] == model.config
    assert {name: checkpoint.origin[name] for name in ("dataset", "classes", "patch", "seed")} == {
        "dataset": "digits",
        "classes": ["a", "b"],
        "patch": "2%",
        "seed": 0,
    }


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_description_is_read_without_the_weights(tmp_path, model, suffix, monkeypatch):
    path, origin = tmp_path / f"model{suffix}", {**describe_model(model), "dataset": "digits", "patch": "2%"}
    if suffix == ".ckpt":
        torch.save(lightning_checkpoint(model), path)
    else:
        write_weights(path, model.state_dict(), origin)
    expected = read_checkpoint(path).origin
    monkeypatch.setattr("mrcert_pl.models.integrity.digest_of", lambda weights: pytest.fail("weights were read"))
    assert read_description(path) == expected


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_a_changed_description_is_refused_without_the_weights(tmp_path, model, suffix):
    path = tmp_path / f"model{suffix}"
    origin = {**with_digest(describe_model(model), model.state_dict()), "patch": 48}
    if suffix == ".ckpt":
        torch.save({"state_dict": {}, "mrcert": origin}, path)
    else:
        save_file(model.state_dict(), path, metadata={"mrcert": json.dumps(origin)})
    with pytest.raises(CheckpointError, match="its description differs from the digest"):
        read_description(path)


def test_a_missing_file_is_an_error_with_the_command_that_makes_it(tmp_path):
    missing = tmp_path / "none.ckpt"
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*none\.ckpt; make it with:  mrcert train x=1"):
        read_checkpoint(missing, made_by="mrcert train x=1")
    with pytest.raises(CheckpointError, match=r"none\.ckpt; mrcert train makes"):
        read_checkpoint(missing)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"is a folder; give the file of a checkpoint, such as .*best\.ckpt"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_a_truncated_file_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"model\.ckpt can't be read as a checkpoint: it is truncated"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# a line of text\n",
        b'{"epoch": 3}\n',
        b"<!DOCTYPE html><html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"PK\x03\x04",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        bytes(1000),
        bytes(range(256)),
    ],
    ids=["empty", "text", "json", "html", "git lfs", "zip", "png", "zeros", "bytes"],
)
@pytest.mark.parametrize("read", [read_checkpoint, read_description])
def test_a_file_of_another_kind_is_refused(path, content, read):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint"):
        read(path)


@pytest.mark.parametrize("content", [b"a line of text\n", b"epoch,loss\n1,0.5\n", b"K", b"G\n", b"J"], ids=repr)
def test_texts_that_look_like_a_pickle_at_first_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint"):
        read_checkpoint(path)


class Trap:
    """Leaves a folder behind if it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "save",
    [
        torch.save,
        lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
        lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2)),
    ],
    ids=["torch", "torch legacy", "pickle"],
)
@pytest.mark.parametrize("place", ["whole", "origin", "weights", "elsewhere"])
@pytest.mark.parametrize("read", [read_checkpoint, read_description])
def test_code_in_a_file_is_not_run(tmp_path, model, save, place, read):
    path, trap = tmp_path / "evil.ckpt", Trap(tmp_path / "sprung")
    content = lightning_checkpoint(model)
    if place == "origin":
        content["mrcert"]["dataset"] = trap
    elif place == "weights":
        content["state_dict"]["model.head.bias"] = trap
    elif place == "elsewhere":
        content["callbacks"] = trap
    save(trap if place == "whole" else content, path)
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint"):
        read(path)
    assert not trap.folder.exists()


def test_the_trap_would_work(tmp_path):
    trap = Trap(tmp_path / "sprung")
    torch.save(trap, tmp_path / "evil.ckpt")
    torch.load(tmp_path / "evil.ckpt", weights_only=False)
    assert trap.folder.exists()


@pytest.mark.parametrize("lacking", ["mrcert", "state_dict", "model"])
def test_a_torch_file_of_other_people_is_refused(path, model, lacking):
    content = lightning_checkpoint(model)
    content.pop(lacking, None)
    content.get("mrcert", {}).pop(lacking, None)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"is a PyTorch file, but not a checkpoint that train\.py made") as error:
        read_checkpoint(path)
    assert f"mrcert convert {path} converted.safetensors --patchcure DATASET --window 14 1" in str(error.value)


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {}, {"mrcert": "yes", "state_dict": {}}, None], ids=str)
def test_torch_files_without_a_description_are_refused(path, content):
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"not a checkpoint that train\.py made"):
        read_checkpoint(path)


@pytest.mark.parametrize("number", [0, 2, None, "1"])
def test_another_format_is_refused(path, model, number):
    torch.save(lightning_checkpoint(model, format=number), path)
    with pytest.raises(CheckpointError, match=f"has checkpoint format {number}; this version reads 1"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"num_classes": 6}, r"num_classes: 5 in the checkpoint, 6 in the configuration"),
        ({"split": 2}, r"split: 1 in the checkpoint, 2 in the configuration"),
        ({"window": (1, 4)}, r"window: \[4, 1\] in the checkpoint, \[1, 4\] in the configuration"),
        ({"head_order": "norm_pool"}, r"head_order: 'pool_norm' in the checkpoint, 'norm_pool' in the configuration"),
        ({"backbone": "deit_tiny_patch16_224"}, r"backbone: 'vit_tiny_patch16_224' in the checkpoint, 'deit"),
        ({"backbone_args": SMALL | {"depth": 4}}, r"backbone_args: .*'depth': 3.* in the checkpoint, .*'depth': 4"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_settings_are_refused_with_the_difference(path, settings, difference):
    """Most of these would load without an error from torch, and then give wrong labels."""
    other = noisy_srf(seed=1, **{"split": 1} | settings)
    before = weights_digest(other)
    with pytest.raises(CheckpointError, match=difference) as error:
        restore(other, read_checkpoint(path))
    assert str(path) in str(error.value)
    assert str(error.value).count("in the checkpoint") == 1
    assert weights_digest(other) == before


def test_all_differences_are_named_at_once(path):
    following = rf"mrcert convert {path} converted\.safetensors"
    with pytest.raises(CheckpointError, match=rf"(?s)num_classes: 5 .*split: 1 .*window: \[4, 1\].*{following}"):
        restore(noisy_srf(split=2, num_classes=6, window=(2, 2)), read_checkpoint(path))


def test_settings_that_only_one_side_knows_are_differences(path, model):
    content = lightning_checkpoint(model)
    content["mrcert"]["config"] = content["mrcert"]["config"] | {"dropped": 0.5}
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"dropped: 0\.5 in the checkpoint, None in the configuration"):
        restore(model, read_checkpoint(path))


def test_another_kind_of_model_is_refused(path):
    class Other(ViTSRF):
        pass

    other = Other("vit_tiny_patch16_224", num_classes=5, window=(4, 1), split=1, backbone_args=SMALL)
    with pytest.raises(CheckpointError, match="holds a ViTSRF, and the configuration names Other") as error:
        restore(other, read_checkpoint(path))
    assert f"mrcert convert {path} converted.safetensors" in str(error.value)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda weights: weights.update({"model.head.bias": torch.zeros(6)}), "size mismatch for head.bias"),
        (lambda weights: weights.pop("model.cls_token"), 'Missing key.*"cls_token"'),
        (lambda weights: weights.update({"model.extra": torch.zeros(1)}), 'Unexpected key.*"extra"'),
    ],
    ids=["shape", "missing", "unexpected"],
)
def test_tensors_that_do_not_fit_are_refused(path, model, damage, named):
    content = lightning_checkpoint(model)
    damage(content["state_dict"])
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=rf"(?s)don't fit its own description: .*{named}"):
        restore(noisy_srf(split=1), read_checkpoint(path))


def test_the_mean_and_deviation_of_the_pixels_travel_with_the_weights(path, model):
    content = lightning_checkpoint(model)
    content["state_dict"]["model.mean"] = torch.full((1, 3, 1, 1), 0.25)
    torch.save(content, path)
    other = noisy_srf(split=1)
    restore(other, read_checkpoint(path))
    assert other.mean.unique().tolist() == [0.25]


def test_digest_survives_saving_and_the_kind_of_file(path, tmp_path, model):
    digest = weights_digest(model)
    assert len(digest) == 64
    assert weights_digest(model) == digest
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    other = noisy_srf(seed=1, split=1)
    assert weights_digest(other) != digest
    other.load_state_dict(torch.load(tmp_path / "plain.pt", weights_only=True))
    assert weights_digest(other) == digest
    assert weights_digest(other.train().requires_grad_(False)) == digest


@pytest.mark.parametrize("name", ["head.bias", "blocks.0.attn.qkv.weight", "cls_token", "mean"])
def test_digest_changes_with_one_bit_of_one_weight(name):
    model = noisy_srf()
    before = weights_digest(model)
    value = model.state_dict()[name].view(-1)
    value[-1] = torch.nextafter(value[-1], torch.tensor(torch.inf))
    assert weights_digest(model) != before


def test_digest_tells_types_shapes_and_names_apart():
    def digest(**tensors):
        return digest_of(tensors)

    zeros = torch.zeros(2, 4)
    digests = [
        digest(a=zeros),
        digest(b=zeros),
        digest(a=zeros.T),
        digest(a=zeros.int()),
        digest(a=zeros.bfloat16()),
        digest(a=zeros[0], b=zeros[1]),
        digest(a=torch.tensor(0.0)),
        digest(a=torch.empty(0)),
        digest(),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(a=zeros, b=zeros + 1) == digest(b=zeros + 1, a=zeros)
    assert digest(a=torch.arange(6.0).view(2, 3).T) == digest(a=torch.arange(6.0).view(2, 3).T.contiguous())
