import argparse

import pytest
import timm
import torch
from noisy_srf import SMALL, noisy_srf, random_images
from safetensors.torch import save_file

from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.models import AblatedViT, BlackBox, MaskedViT, ViTSRF
from mrcert_pl.models.weights import load_weights

NAME = "vit_tiny_patch16_224"
HEAD = {"head.weight", "head.bias"}


def foreign(num_classes=5, seed=3, name=NAME, **arguments):
    """State dict of a small timm ViT of other people, with noise on every parameter."""
    torch.manual_seed(seed)
    vit = timm.create_model(name, num_classes=num_classes, **(SMALL | arguments))
    return {name: value + 0.2 * torch.randn_like(value) for name, value in vit.state_dict().items()}


def started(path, num_classes=5, name=NAME, backbone_args=SMALL, **settings):
    settings = {"window": (4, 1), "split": 1, "weights": path} | settings
    return ViTSRF(name, num_classes=num_classes, backbone_args=backbone_args, **settings).eval()


def body(model):
    return {name: value for name, value in model.state_dict().items() if not name.startswith(("head.", "mean", "std"))}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.fixture
def write(tmp_path):
    def write(content, name="weights.pth", **arguments):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file(content, path)
        else:
            torch.save(content, path, **arguments)
        return path

    return write


ARGUMENTS = argparse.Namespace(lr=1e-3, model="vit", nested={"a": [1, 2]})
CONTENTS = {
    "bare": lambda state: state,
    "mae or deit": lambda state: {"model": state},
    "with arguments": lambda state: {"model": state, "args": ARGUMENTS, "optimizer": {"lr": 1e-3}, "epoch": 99},
    "timm": lambda state: {"state_dict": state, "arch": "vit", "args": ARGUMENTS, "metric": 0.8},
    "timm with ema": lambda state: {"state_dict": foreign(seed=9), "state_dict_ema": state},
    "deit with ema": lambda state: {"model": foreign(seed=9), "model_ema": state},
    "data parallel": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "compiled": lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
}


@pytest.mark.parametrize("layout", CONTENTS)
@pytest.mark.parametrize("pool", ["avg", "token"])
def test_every_layout_is_read(write, layout, pool):
    """``fc_norm`` of models that average, as MAE's fine-tuned ones; ``norm`` of those with a class token, as DeiT."""
    state = foreign(global_pool=pool)
    model = started(write(CONTENTS[layout](state)))
    last = "fc_norm" if pool == "avg" else "norm"
    assert f"{last}.weight" in state
    renamed = {name.replace(f"{last}.", "fc_norm."): value for name, value in state.items()}
    assert_same({name: x for name, x in model.state_dict().items() if name not in ("mean", "std")}, renamed)


def test_safetensors_and_half_precision(write):
    half = {name: value.half() for name, value in foreign(global_pool="avg").items()}
    model = started(str(write(half, "weights.safetensors")))
    assert all(value.dtype == torch.float32 for value in model.state_dict().values())
    assert_same(
        {**body(model), "head.weight": model.head.weight}, {k: half[k].float() for k in half if k != "head.bias"}
    )


def test_without_srf_blocks_it_is_the_averaging_model_of_timm(write):
    """But for the position of the class token, which ViT-SRF never adds."""
    state = foreign(global_pool="avg")
    state["pos_embed"][:, 0] = 0
    vit = timm.create_model(NAME, num_classes=5, global_pool="avg", **SMALL).eval()
    vit.load_state_dict(state)
    model, images = started(write(state), split=0), random_images(3)
    torch.testing.assert_close(model(images), vit((images - model.mean) / model.std), rtol=1e-5, atol=1e-5)


def test_the_decoder_of_mae_is_left_out_and_its_encoder_has_no_head(write):
    state = {name: value for name, value in foreign().items() if name not in HEAD}
    decoder = {"mask_token": torch.ones(1, 1, 8), "decoder_embed.weight": torch.ones(8, 32)}
    decoder |= {"decoder_blocks.0.norm1.weight": torch.ones(8), "decoder_pos_embed": torch.ones(1, 17, 8)}
    model = started(write({"model": state | decoder}), num_classes=7)
    assert model.head.out_features == 7
    assert_same(
        body(model),
        {name.replace("norm.", "fc_norm.") if name[:5] == "norm." else name: x for name, x in state.items()},
    )


def test_a_head_of_other_classes_is_replaced_by_a_fresh_one(write):
    state = foreign(num_classes=9)
    model = started(write(state))
    assert model.head.weight.shape == (5, 32)
    assert torch.equal(model.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
    assert not torch.equal(model.head.weight, state["head.weight"][:5])


def test_what_happened_to_the_head_is_logged(write, caplog):
    caplog.set_level("INFO")
    path = write(foreign(num_classes=9))
    for settings in ({}, {"num_classes": 9}, {"head_rows": [1, 2, 3, 4, 5]}):
        started(path, **settings)
    assert [record.message.split(", ", 1)[1] for record in caplog.records] == [
        "with a fresh head of 5 classes instead of 9",
        "with its head of 9 classes",
        "its head from 5 rows of 9",
    ]


@pytest.mark.parametrize(("classes", "rows", "new"), [(5, None, True), (9, None, False), (5, [1, 2, 3, 4, 5], False)])
def test_a_model_states_whether_its_head_is_new(write, classes, rows, new):
    path = write(foreign(num_classes=9))
    base = write({name: value for name, value in foreign(num_classes=9).items() if name not in HEAD}, "headless.pth")
    arguments = {"num_classes": classes, "backbone_args": SMALL}
    for model in (
        started(path, classes, head_rows=rows),
        MaskedViT(NAME, weights=path, head_rows=rows, **arguments),
        AblatedViT(NAME, weights=path, head_rows=rows, **arguments),
        BlackBox(NAME, weights=path, head_rows=rows, patch=16, image_px=(64, 64), **arguments),
    ):
        assert model.new_head is new
    assert started(base, classes).new_head
    random = started(None, classes)
    assert random.new_head
    random.load_state_dict(random.state_dict())
    assert not random.new_head


def test_the_head_can_start_from_rows_of_the_old_one(write):
    state, rows = foreign(num_classes=9), [8, 0, 3, 3, 5]
    model = started(write(state), head_rows=rows)
    assert torch.equal(model.head.weight, state["head.weight"][rows])
    assert torch.equal(model.head.bias, state["head.bias"][rows])
    everything = started(write(state), num_classes=9)
    images = random_images(2)
    torch.testing.assert_close(model(images), everything(images)[:, rows])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 1, 2, 3], r"one row for each of the 5 classes, not 4 rows"),
        ([0, 1, 2, 3, 4, 5], r"one row for each of the 5 classes, not 6 rows"),
        ([0, 1, 2, 3, 9], r"head_rows must be from 0 to 8, .*weights\.pth; not \[9\]"),
        ([True, 1, 2, 3, 4], r"head_rows must be from 0 to 8, .* not \[True\]"),
        ([-1, 1, 2, 3, 4], r"head_rows must be from 0 to 8, .* not \[-1\]"),
        ([0, 1.5, 2, "3", 4], r"head_rows must be from 0 to 8, .* not \[1\.5, '3'\]"),
    ],
    ids=str,
)
def test_rows_that_do_not_fit_are_refused(write, rows, message):
    with pytest.raises(ConfigurationError, match=message):
        started(write(foreign(num_classes=9)), head_rows=rows)


@pytest.mark.unchecked_shapes
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head_rows": 5}, "head_rows must be a list with a row for each class, got 5"),
        ({"head_rows": "01234"}, "head_rows must be a list with a row for each class, got '01234'"),
        ({"head_rows": [0]}, "one row for each of the 5 classes, not 1 rows"),
        (
            {"pretrained": "no"},
            r"model\.pretrained must be true or false, got 'no'; a file is given by model\.weights=",
        ),
        (
            {"backbone_args": SMALL | {"checkpoint_path": "w.pth"}},
            r"checkpoint_path of model\.backbone_args would load weights .* give model\.weights=PATH instead",
        ),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused_before_a_file_is_read(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        started("missing.pth", **settings)


def test_rows_without_a_head_are_refused(write):
    headless = write({name: value for name, value in foreign().items() if name not in HEAD})
    with pytest.raises(ConfigurationError, match=r"weights\.pth has no head to take them from; set head_rows to null"):
        started(headless, head_rows=[0, 1, 2, 3, 4])
    with pytest.raises(ConfigurationError, match=r"there are no weights: give model\.weights=PATH or"):
        started(None, head_rows=[0, 1, 2, 3, 4])


@pytest.mark.parametrize("name", [NAME, "deit3_small_patch16_224"], ids=["with cls position", "without"])
@pytest.mark.parametrize("size", [32, 96, (32, 96)], ids=str)
def test_positions_are_resampled_to_another_grid(write, name, size):
    state = foreign(name=name)
    model = started(write(state), name=name, backbone_args=SMALL | {"img_size": size}, window=(2, 1))
    reference = timm.create_model(name, num_classes=5, global_pool="avg", **(SMALL | {"img_size": size}))
    prepared = timm.models.vision_transformer.checkpoint_filter_fn(state, reference)
    torch.testing.assert_close(model.pos_embed, prepared["pos_embed"])
    assert not torch.equal(model.pos_embed[:, -1], state["pos_embed"][:, -1])
    prefix = state["pos_embed"].shape[1] - 16
    assert torch.equal(model.pos_embed[:, :prefix], state["pos_embed"][:, :prefix])


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(write):
    vit = timm.create_model(NAME, num_classes=5, global_pool="avg", **SMALL)
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    wrong = foreign(embed_dim=48)
    wrong["norm_extra.weight"] = wrong.pop("cls_token")
    with pytest.raises(CheckpointError) as error:
        load_weights(vit, wrong, "w.pth")
    lines = str(error.value).splitlines()
    assert lines[0] == "w.pth doesn't fit VisionTransformer:"
    assert lines[1] == "  1 missing: cls_token"
    assert lines[2] == "  1 unexpected: norm_extra.weight"
    assert lines[3].startswith("  42 of another shape: pos_embed [1, 17, 48] instead of [1, 17, 32], ")
    assert lines[3].endswith(", and 32 more")
    assert lines[4].startswith("name the backbone (and its arguments) that these weights were made for")
    assert_same(vit.state_dict(), before)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"depth": 2}, r"12 missing: blocks\.2\.norm1\.weight, (.*, ){9}and 2 more"),
        ({"depth": 4}, r"12 unexpected: blocks\.3\.norm1\.weight"),
        ({"patch_size": 8, "img_size": 32}, r"patch_embed\.proj\.weight \[32, 3, 8, 8\] instead of \[32, 3, 16, 16\]"),
        ({"no_embed_class": True}, r"pos_embed \[1, 16, 32\] instead of \[1, 17, 32\]"),
    ],
    ids=str,
)
def test_weights_of_another_architecture_are_refused(write, change, line):
    with pytest.raises(CheckpointError, match=line):
        started(write(foreign(**change)))


@pytest.mark.parametrize("lacking", ["pos_embed", "norm.bias", "head.bias", "patch_embed.proj.weight"])
def test_incomplete_weights_are_refused(write, lacking):
    state = foreign()
    del state[lacking]
    with pytest.raises(CheckpointError, match=f"1 missing: (fc_)?{lacking}"):
        started(write(state))


def test_weights_of_ours_are_read_with_their_normalisation(write):
    model, images = noisy_srf(), random_images(2)
    files = [
        write(model.state_dict(), "ours.safetensors"),
        write(
            {
                "mrcert": {},
                "state_dict": {f"model.{k}": v for k, v in model.state_dict().items()} | {"ema.x": torch.ones(1)},
            }
        ),
    ]
    for file in files:
        assert torch.equal(started(file)(images), model(images))
        with pytest.raises(
            CheckpointError, match=r"trained with mean \[0\.5, 0\.5, 0\.5\], and the backbone has \[0\.485"
        ):
            started(file, name="deit_tiny_patch16_224")


def offline(*args, pretrained=False, **kwargs):
    if pretrained:
        raise OSError("no route to host\nsecond line")
    return create_model(*args, **kwargs)


create_model = timm.create_model


def test_without_a_network_the_ways_out_are_named(monkeypatch, write):
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigurationError) as error:
        started(None, pretrained=True)
    for part in (NAME, "model.weights=PATH", "model.pretrained=false", "(OSError: no route to host)"):
        assert part in str(error.value)
    # A file overrides the hub, which isn't even asked.
    assert torch.equal(started(write(foreign()), pretrained=True).cls_token, foreign()["cls_token"])
    assert started(None, pretrained=False).num_classes == 5


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224.no_such_tag", "vit_small_patch16_36x1_224"])
def test_tags_without_weights_are_an_error(name):
    with pytest.raises(ConfigurationError, match=rf"the weights of '{name}' can't be loaded .*[Pp]retrained"):
        started(None, pretrained=True, name=name, backbone_args={})


def test_weights_of_the_hub_go_the_same_way(monkeypatch):
    state = foreign(num_classes=9)

    def online(name, pretrained=False, **arguments):
        if not pretrained:
            return create_model(name, **arguments)
        assert not arguments, "the tag's own model, with its own head and pooling"
        vit = create_model(name, num_classes=9, **SMALL)
        vit.load_state_dict(state)
        return vit

    monkeypatch.setattr(timm, "create_model", online)
    model = started(None, pretrained=True, head_rows=[4, 3, 2, 1, 0])
    assert torch.equal(model.fc_norm.weight, state["norm.weight"])
    assert torch.equal(model.head.weight, state["head.weight"][:5].flip(0))


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("vit_base_patch16_224.mae", [0.485, 0.456, 0.406]),
        ("deit_tiny_patch16_224.fb_in1k", [0.485, 0.456, 0.406]),
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", [0.5, 0.5, 0.5]),
        ("vit_tiny_patch16_224", [0.5, 0.5, 0.5]),
    ],
)
def test_the_tag_decides_the_normalisation(write, name, mean):
    model = started(write(foreign()), name=name)
    assert torch.equal(model.mean.flatten(), torch.tensor(mean))


def test_the_description_does_not_depend_on_the_weights(write):
    path = write(foreign(num_classes=9))
    model = started(path, head_rows=[0, 1, 2, 3, 4], pretrained=True)
    path.unlink()
    assert model.config == started(None).config
    twin = ViTSRF(**model.config).eval()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(random_images(1)), model(random_images(1)))
