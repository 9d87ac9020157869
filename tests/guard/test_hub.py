"""Guards in folders and on the hub: what is saved comes back, and nothing else is read."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from small_models import PATCH, images_for, kinds

from mrcert_pl import Guard
from mrcert_pl.defenders import AblationVote, Defender, MRCert, PatchCURE
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.guard import MeasuredAccuracy, Policy

KINDS = kinds()
CLASSES = ["cat", "dog | cat", "Füchse", "", "d"]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection can be made."""

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("a network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.fixture
def guard() -> Guard:
    return Guard(KINDS["masked_vit"].model, "mrcert_sharp", 1, CLASSES, "whole", Policy("round_trip"), exif="ignore")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("kind", "defender"),
    [
        ("masked_vit", "mrcert_sharp"),
        ("vit_srf", MRCert(patches=1)),
        ("blackbox", PatchCURE()),
        ("column_vit", AblationVote("sharp")),
    ],
)
def test_a_saved_guard_gives_the_same_verdicts(kind: str, defender: str | Defender[Any], tmp_path: Path) -> None:
    model = KINDS[kind].model
    guard = Guard(model, defender, PATCH, CLASSES, "whole", Policy("certificate"), exif="ignore")
    folder = guard.save_pretrained(tmp_path / "new" / "folder")
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    again = Guard.from_pretrained(str(folder))
    assert again.defender.name == guard.defender.name
    for name in ("class_names", "patch", "policy", "stride", "exif", "preprocessing"):
        assert getattr(again, name) == getattr(guard, name)
    images = images_for(model, 2)
    times = {"seconds": None, "margin": None}
    assert [v.to_json() | times for v in again(images)] == [v.to_json() | times for v in guard(images)]


@pytest.mark.usefixtures("offline")
def test_a_refined_guard_comes_back(tmp_path: Path) -> None:
    defender = Refined(MRCert(patches=1), (2,), 0.7, 30)
    model = KINDS["blackbox"].model
    guard = Guard(model, defender, PATCH, CLASSES, "whole")
    again = Guard.from_pretrained(guard.save_pretrained(tmp_path))
    assert isinstance(again.defender, Refined)
    assert again.defender.refinement == {"refine": [2], "refine_threshold": 0.7, "refine_limit": 30}
    assert isinstance(again.defender.defender, MRCert)
    assert again.defender.defender.order == defender.defender.order  # type: ignore[attr-defined]
    assert "| defender | mrcert, small masks below those of stride 2 |" in (tmp_path / "README.md").read_text()
    images = images_for(model, 2)
    assert [v.label for v in again(images)] == [v.label for v in guard(images)]


@pytest.mark.parametrize("size", [32, "16x48", "2%", "16x48,48x16", "16x16,2x30"])
def test_every_patch_size_comes_back(size: Any, guard: Guard, tmp_path: Path) -> None:
    folder = guard.save_pretrained(tmp_path)
    content = json.loads((folder / "config.json").read_text())
    guard.patch = PatchSpec(size)
    written = json.loads((guard.save_pretrained(tmp_path / "again") / "config.json").read_text())
    assert PatchSpec(written["patch"]) == PatchSpec(size)
    assert {**written, "patch": content["patch"]} == content


def test_what_holds_code_is_not_saved(guard: Guard, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(12, 3))
    wrapped = Guard.wrap(net, 4, mean=(0, 0, 0), std=(1, 1, 1), image_px=16, masks_per_axis=2)
    with pytest.raises(ConfigurationError, match="a WrappedClassifier can't be saved, as files hold no code"):
        wrapped.save_pretrained(tmp_path)

    class Own(MRCert):
        pass

    guard.defender = Own()
    with pytest.raises(ConfigurationError, match="the defender 'mrcert' can't be saved: it is not a registered one"):
        guard.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def changed(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "config.json").read_text()) | changes
    content = {name: value for name, value in content.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "is not a guard that .*format: must be 1, got 2"),
        ({"model": "os.system"}, "must state a model, one of: AblatedViT, BlackBox, MaskedViT, ViTSRF"),
        ({"model": ["ViTSRF"]}, "model: must be a valid string"),
        ({"model": "ViTSRF"}, "config.json states a ViTSRF, and model.safetensors holds a MaskedViT"),
        ({"classes": "abcde"}, "save_pretrained wrote: classes"),
        ({"classes": ["a", 1]}, "save_pretrained wrote: classes"),
        ({"stride": True}, "save_pretrained wrote: stride"),
        ({"stride": [1, 2, 3]}, "save_pretrained wrote: stride"),
        ({"patch": ["1"]}, "wrote: patch: must be a valid string"),
        ({"patch": ...}, "patch: missing field"),
        ({"path": "/etc/passwd"}, "path: unknown field"),
        ({"defender": "mrcert"}, "wrote: defender"),
        ({"defender": {"name": "mrcert", "_target_": {"a": 1}}}, "wrote: defender"),
        ({"defender": {"name": "mrcert", "path": "x"}}, "has an invalid setting: .*path"),
        ({"defender": {"name": ["mrcert"]}}, "wrote: defender"),
        # Bounded before any mask is looked for.
        (
            {"defender": {"name": "mrcert", "patches": 10**15}},
            "has an invalid setting: a defender is for at most 100 pat",
        ),
        ({"defender": {"name": "patchcensor", "at_once": 10**15}}, "has an invalid setting: a defender is for at most"),
        # The registry would import this module.
        ({"defender": {"name": "this:mrcert"}}, "names a module by its defender"),
        ({"defender": {"name": "os.system"}}, "has an invalid setting: unknown defender 'os.system'"),
        ({"refinement": {"coarser": [4], "threshold": 0.5}}, "refinement.limit: missing field"),
        ({"refinement": {"coarser": [True], "threshold": 0.5, "limit": None}}, "wrote: refinement.coarser"),
        ({"refinement": {"coarser": [], "threshold": 0.5, "limit": None}}, "needs the stride of at least one"),
        ({"refinement": {"coarser": [4], "threshold": 2.0, "limit": 0}}, "must be whole numbers of at least 1"),
        # Bounded before any mask is looked for.
        (
            {"refinement": {"coarser": [*range(2, 9999)], "threshold": 0.5, "limit": 1}},
            "at most 8 sets of larger masks",
        ),
        ({"require": "nothing"}, "wrote: require: must be 'certificate' or 'round_trip'"),
    ],
    ids=str,
)
def test_a_changed_configuration_is_refused(
    changes: dict[str, Any], message: str, guard: Guard, tmp_path: Path
) -> None:
    folder = guard.save_pretrained(tmp_path)
    changed(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        Guard.from_pretrained(folder)
    assert "this" not in sys.modules


def test_damaged_and_missing_files(guard: Guard, tmp_path: Path) -> None:
    folder = guard.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no .*config\.json; Guard\.save_pretrained writes it"):
        Guard.from_pretrained(tmp_path.parent)
    for text in ("{", "[" * 100_000, "[]", "null", '"\\ud800"'):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"config\.json"):
            Guard.from_pretrained(folder)
    guard.save_pretrained(folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-10])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Guard.from_pretrained(folder)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("source", ["nowhere", "a/b/c", "../up", "owner/../name", "", "https://x/y", Path("a/b")])
def test_sources_that_are_neither_folder_nor_repository(source: str | Path) -> None:
    with pytest.raises(CheckpointError, match="is neither a folder nor the owner/name of a repository"):
        Guard.from_pretrained(source)


def test_a_repository_is_downloaded(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = guard.save_pretrained(tmp_path), []

    def snapshot_download(repo_id: str, **settings: Any) -> str:
        asked.append((repo_id, settings))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    loaded = Guard.from_pretrained("owner/name", revision="v1")
    assert loaded.class_names == guard.class_names
    # Nothing but these is downloaded, whatever the repository holds.
    assert asked == [("owner/name", {"revision": "v1", "allow_patterns": ["config.json", "model.safetensors"]})]

    def fails(repo_id: str, **settings: Any) -> str:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(CheckpointError, match=r"owner/name can't be read from the hub: no route to host$"):
        Guard.from_pretrained("owner/name")


def test_a_guard_is_uploaded(guard: Guard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[Any] = []

    class Api:
        def __init__(self, token: str | None) -> None:
            calls.append(token)

        def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> SimpleNamespace:
            calls.append((repo_id, private, exist_ok))
            return "https://huggingface.co/owner/name"  # type: ignore[return-value]

        def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
            calls.append({path.name: path.read_bytes() for path in Path(folder_path).iterdir()})

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    results = [MeasuredAccuracy("certified accuracy", 7, 10)]
    address = guard.push_to_hub("owner/name", results, "one epoch", private=True, token="secret")
    assert address == "https://huggingface.co/owner/name"
    token, repository, files = calls
    assert (token, repository) == ("secret", ("owner/name", True, True))
    folder = guard.save_pretrained(tmp_path, results, "one epoch")
    assert files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert b"secret" not in b"".join(files.values())

    monkeypatch.setattr(Api, "upload_folder", lambda self, **settings: Image.open("none"))
    with pytest.raises(ConfigurationError, match="the upload to owner/name failed"):
        guard.push_to_hub("owner/name")
    with pytest.raises(ConfigurationError, match="is named owner/name, got 'name'"):
        guard.push_to_hub("name")
