"""``mrcert push`` from end to end, without a network."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_checkpoint import CHECKPOINT

from mrcert_pl import Guard

Command = Callable[..., None]
NAMED = ("patch=32", "class_names=[a,b,c,d,e,f,g,h,i,j]")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("a network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)


def test_a_folder_is_written(untrained: Command, capsys: pytest.CaptureFixture[str]) -> None:
    untrained("push", f"checkpoint={CHECKPOINT}", "folder=guard", "defender=patchcure", "training=none at all", *NAMED)
    printed = capsys.readouterr().out
    assert "The model card states no accuracies; results=FOLDER adds" in printed
    assert "Nothing was uploaded; repo=owner/name does." in printed
    assert {path.name for path in Path("guard").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert "| training | none at all |" in Path("guard/README.md").read_text()
    assert Guard.from_pretrained("guard", device="cpu").class_names == tuple("abcdefghij")
    # The command leaves nothing else behind.
    assert {path.name for path in Path.cwd().iterdir()} == {"checkpoints", "guard"}


def test_an_upload(untrained: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def __init__(self, token: str | None) -> None:
            assert token is None

        def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> str:
            assert private
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
            assert repo_id == "owner/name"
            assert "owner/name" in (Path(folder_path) / "README.md").read_text()

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    untrained("push", f"checkpoint={CHECKPOINT}", "repo=owner/name", "private=true", *NAMED)
    printed = capsys.readouterr().out
    assert 'https://huggingface.co/owner/name\nLoad it with:  Guard.from_pretrained("owner/name")\n' in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give repo=owner/name to upload the guard"),
        (("repo=name",), "a repository on the hub is named owner/name, got 'name'"),
        (("repo=owner/name",), "give checkpoint=FILE"),
        (("repo=owner/name", "checkpoint=none.ckpt"), "there is no checkpoint none.ckpt"),
        (("folder=guard", "checkpoint=owner/name"), "there is no checkpoint owner/name"),
        (("folder=guard", "checkpoint=none.ckpt", "results=nowhere"), "there is no nowhere"),
        (("folder=guard", "checkpont=none.ckpt"), "did you mean checkpoint?"),
    ],
)
def test_what_cannot_work(arguments: tuple[str, ...], message: str, refused: Callable[..., str]) -> None:
    assert message in refused("push", *arguments)
