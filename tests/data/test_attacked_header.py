"""Headers of attacked sets: those of earlier versions are read, hostile ones refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from mrcert_pl.data.attacked_header import read_header
from mrcert_pl.errors import DataError, MRCertError

# As version 0.1 wrote it.
OLD: dict[str, Any] = {
    "format": 1,
    "dataset": "digits",
    "classes": ["zero", "one"],
    "images": [4, 1],
    "quantize": True,
    "attack": {"name": "patch_ifgsm", "patch": 32, "steps": 2, "step_px": None},
    "model": {"format": 1, "model": "ViTSRF", "config": {"backbone": "vit_tiny_patch16_224"}},
    "weights_sha256": "0f" * 32,
    "precision": "32-true",
    "device": "cpu",
    "made_from": {
        "model": {
            "name": "vit_srf",
            "_target_": "mrcert_pl.models.ViTSRF",
            "backbone": "vit_tiny_patch16_224",
            "pretrained": True,
            "weights": "../secret.pth",
            "head_rows": None,
            "window": [14, 1],
            "backbone_args": {"depth": 2, "global_pool": "avg"},
        },
        "patch": 32,
        "checkpoint": "checkpoints/digits/vit_srf_p32/best.ckpt",
        "dataset": {"root": None, "resize": "whole"},
    },
}


def changed(folder: Path, path: str, value: object) -> Path:
    """Write a header with one value replaced; ``path`` is its keys, separated by slashes."""
    header = json.loads(json.dumps(OLD))
    *parents, last = path.split("/")
    node = header
    for each in parents:
        node = node[each]
    node[last] = value
    (folder / "attack.json").write_text(json.dumps(header))
    return folder


def test_an_old_header(tmp_path: Path) -> None:
    header = read_header(changed(tmp_path, "device", "cuda"))
    assert (header.source, header.classes, header.images) == ("digits", ("zero", "one"), (4, 1))
    assert (header.model_name, header.model_kind, header.patch) == ("vit_srf", "vit_srf", 32)
    assert header.device == "cuda"
    assert header.checkpoint_path() == Path("checkpoints/digits/vit_srf_p32/best.ckpt")
    assert header.source_arguments() == {"resize": "whole"}
    (tmp_path / "attack.json").write_text(json.dumps(header.to_json()))
    assert read_header(tmp_path) == header


def test_nothing_that_a_header_names_is_loaded_or_fetched(tmp_path: Path) -> None:
    settings = read_header(changed(tmp_path, "device", "cpu")).model_settings
    assert (settings["pretrained"], settings["weights"]) == (False, None)
    assert settings["backbone_args"] == {"depth": 2, "global_pool": "avg"}
    assert read_header(tmp_path).model_config()["_target_"] == "mrcert_pl.models.ViTSRF"


def test_another_model_is_not_taken_from_a_header(tmp_path: Path) -> None:
    header = read_header(changed(tmp_path, "made_from/model/_target_", "torch.load"))
    assert (header.model_kind, header.model_settings) == ("", {})
    with pytest.raises(DataError, match="is not taken from a file; give model= and checkpoint="):
        header.model_config()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("made_from/model/backbone_args", {"_target_": "os.system", "command": "true"}, "has the key '_target_'"),
        ("made_from/model/backbone_args", {"a": [{"_args_": ["true"]}]}, "has the key '_args_'"),
        ("made_from/model/backbone", "${oc.env:HOME}", "has the interpolation"),
        ("made_from/model/${oc.env:HOME}", 1, "has the key"),
        ("made_from/model/split", "a ${paths.output_dir}", "has the interpolation"),
        ("attack/_target_", "os.system", "has the key '_target_'"),
        ("made_from/patch", "../../..", r"can't read the patch size '\.\./\.\./\.\.'"),
        ("made_from/patch", "${oc.env:HOME}", "has the interpolation"),
        ("made_from/patch", {"a": 1}, "can't read the patch size"),
        ("made_from/patch", None, "can't read the patch size"),
        ("made_from/model/name", "../x", "must match pattern"),
        ("made_from/model", [], "must be an object"),
        ("made_from/checkpoint", None, "must be a valid string"),
        ("made_from/dataset/resize", "squash", "must be 'crop' or 'whole'"),
        ("made_from/dataset/root", 5, "must be a valid string"),
        ("made_from", "x", "made_from: must be an object"),
        ("dataset", "../digits", "must match pattern"),
        ("classes", [], "classes: must be a list of different values"),
        ("classes", ["a", "a"], "classes: must be a list of different values"),
        ("classes", ["a", "b\x1b[2J"], r"classes\[1\]: must be printable text"),
        ("classes", "ab", "classes: must be a valid array"),
        ("images", [1, 1], "images: must be a list of different values"),
        ("images", [1, True], r"images\[1\]: must be a valid integer"),
        ("images", [-1], r"images\[0\]: must be"),
        ("images", [2**63], r"images\[0\]: must be"),
        ("quantize", 1, "quantize: must be a valid boolean"),
        ("weights_sha256", "../../x", "must match pattern"),
    ],
)
def test_hostile_headers_are_refused_with_the_name_of_the_file(
    path: str, value: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_header(changed(tmp_path, path, value))
    assert str(error.value).startswith(f"{tmp_path / 'attack.json'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ['{"format": 1, "x": NaN}', "[" * 100_000, "\xff", '{"format": 1}', "1" * 10_000])
def test_text_that_is_no_header(text: str, tmp_path: Path) -> None:
    (tmp_path / "attack.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(MRCertError, match=r"attack\.json"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    ("size", "text"), [("2%", "2%"), ([16, 48], "16x48"), ("16x48, 48x16", "16x48,48x16"), ("32", 32)]
)
def test_a_patch_is_parsed_and_written_again(size: object, text: object, tmp_path: Path) -> None:
    assert read_header(changed(tmp_path, "made_from/patch", size)).patch == text


def test_paths_elsewhere_are_read_only_on_request(tmp_path: Path) -> None:
    header = read_header(changed(tmp_path, "made_from/checkpoint", "../../best.ckpt"))
    with pytest.raises(DataError, match=r"names the checkpoint '\.\./\.\./best\.ckpt', which is not below"):
        header.checkpoint_path()
    header = read_header(changed(tmp_path, "made_from/dataset/root", "/home/somebody/photos"))
    with pytest.raises(DataError, match="names the data set's root"):
        header.source_arguments()
