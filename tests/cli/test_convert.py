"""``mrcert convert``: what it writes is what ``eval.py`` reads, whoever trained it."""

import shlex
from pathlib import Path

import pytest
import torch
from plain_results import read_results
from safetensors.torch import save_file
from test_commands import CHECKPOINT, TRAIN, Command, failure
from tiny import TINY

from mrcert_pl.models.checkpoints import read_checkpoint

SMALL_WIDTH, CLASSES, DEPTH, SPLIT = 48, 10, 3, 1


def evaluation(output: str) -> list[str]:
    """The printed command, cut to a few images."""
    words = shlex.split(output.split("Certify it with:  ")[1].strip())
    assert words[:2] == ["mrcert", "eval"]
    return ["eval", *words[2:], "dataset.limit=3", "trainer=cpu"]


def counts(run: str = "outputs/eval") -> list[dict]:
    found = sorted(Path(run).rglob("results.json"), key=lambda path: path.stat().st_mtime)
    return [read_results(path)["accuracy"] for path in found]


def test_a_checkpoint_becomes_small_and_stays_the_same_model(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command(*TRAIN)
    command("eval", *TINY, "patch=32", "trainer=cpu", "dataset.limit=3")
    for half in ([], ["--half"]):
        capsys.readouterr()
        command("convert", str(CHECKPOINT), "small.safetensors", *half)
        small = read_checkpoint("small.safetensors")
        whole = read_checkpoint(CHECKPOINT)
        # Rounded weights have another digest.
        digests = {"weights_sha256", "description_sha256"} if half else set()
        assert small.origin.keys() == whole.origin.keys()
        assert {name for name, value in small.origin.items() if value != whole.origin[name]} == digests
        for name, value in whole.weights.items():
            assert torch.equal(small.weights[name].float(), (value.half() if half else value).float())
        printed = evaluation(capsys.readouterr().out)
        # The file says the rest.
        assert printed[:2] == ["eval", "checkpoint=small.safetensors"]
        assert not any(word.startswith(("model", "patch", "stride", "dataset=")) for word in printed)
        command(*printed)
    one, two, _ = counts()
    assert one == two
    assert Path("small.safetensors").stat().st_size < CHECKPOINT.stat().st_size / 2
    message = failure(command, capsys, "convert", str(CHECKPOINT), "small.safetensors/in_a_file.safetensors")
    assert "choose another target" in message


def theirs() -> dict[str, torch.Tensor]:
    """A state dict laid out as PatchCURE's nn.Sequential(srf, lrf) of a small ViT."""
    dim = SMALL_WIDTH
    block = {
        "norm1.weight": [dim],
        "norm1.bias": [dim],
        "attn.qkv.weight": [3 * dim, dim],
        "attn.qkv.bias": [3 * dim],
        "attn.proj.weight": [dim, dim],
        "attn.proj.bias": [dim],
        "norm2.weight": [dim],
        "norm2.bias": [dim],
        "mlp.fc1.weight": [4 * dim, dim],
        "mlp.fc1.bias": [4 * dim],
        "mlp.fc2.weight": [dim, 4 * dim],
        "mlp.fc2.bias": [dim],
    }
    shapes = {"0.cls_token": [1, 1, dim], "0.pos_embed": [1, 197, dim]}
    shapes |= {"0.pre_layers.0.proj.weight": [dim, 3, 16, 16], "0.pre_layers.0.proj.bias": [dim]}
    for place in ("0.pre_layers.4", "1.post_layers.0", "1.post_layers.1"):
        shapes |= {f"{place}.{name}": shape for name, shape in block.items()}
    shapes |= {"1.post_layers.3.weight": [dim], "1.post_layers.3.bias": [dim]}
    shapes |= {"1.post_layers.5.weight": [CLASSES, dim], "1.post_layers.5.bias": [CLASSES]}
    torch.manual_seed(0)
    return {name: 0.1 * torch.randn(shape) for name, shape in shapes.items()}


def test_a_file_of_patchcure_can_be_certified(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": theirs()}, "theirs.pth.tar")
    # Of these arguments the configuration of the digits doesn't name the last one.
    small = f"--backbone-args={{embed_dim: {SMALL_WIDTH}, depth: {DEPTH}, num_heads: 4, qk_norm: false}}"
    source = ["theirs.pth.tar", "theirs.safetensors", "--patchcure", "digits", "--window", "14", "1"]
    command("convert", *source, "--backbone", "vit_tiny_patch16_224", small)
    origin = read_checkpoint("theirs.safetensors").origin
    assert (origin["config"]["head_order"], origin["config"]["split"], origin["dataset"]) == (
        "norm_pool",
        SPLIT,
        "digits",
    )
    command(*evaluation(capsys.readouterr().out))
    assert counts()[0]["clean"]["n"] == 3


DIGITS = ["theirs.pth", "out.safetensors", "--patchcure", "digits", "--window", "14", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.ckpt", "out.safetensors"], "there is no checkpoint missing.ckpt"),
        (["theirs.pth", "out.pt"], "the target must be a .safetensors file"),
        (["theirs.pth", "out.safetensors", "--patchcure", "digits"], "give --window 14 1"),
        (["theirs.pth", "out.safetensors", "--patchcure", "nowhere", "--window", "14", "1"], "nowhere"),
        (
            ["theirs.pth", "out.safetensors", "--patchcure", "cifar100", "--window", "14", "1"],
            "num_classes 10, not 100",
        ),
        (["theirs.pth", "out.safetensors"], "not a checkpoint that train.py made"),
        (["strange.safetensors", "out.safetensors"], "without a description of its model"),
        (["broken.safetensors", "out.safetensors"], "truncated or damaged"),
        ([*DIGITS, "--backbone-args", "{depth: 4"], "--backbone-args is not YAML: while parsing"),
        ([*DIGITS, "--backbone-args", "[4]"], "names and values, like '{depth: 4}', not '[4]'"),
    ],
)
def test_what_cannot_be_converted_says_why(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    torch.save({"state_dict": theirs()}, "theirs.pth")
    save_file({"a": torch.zeros(1)}, "strange.safetensors")
    Path("broken.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{")
    assert message in failure(command, capsys, "convert", *arguments)
    assert not Path("out.safetensors").exists()
