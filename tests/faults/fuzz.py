"""Damaged and arbitrary inputs: each is read, or refused with an error of this package.

``python tests/faults/fuzz.py --examples 2000`` runs the long version and prints the figures of docs/reliability.md.
A file is damaged by hypothesis: bits flipped, parts removed, repeated or replaced; a JSON value at any depth replaced.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import HEADER, table_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcert_pl import (
    AttackSettings,
    DatasetSettings,
    EvaluationSettings,
    ModelSettings,
    RecipeSettings,
    RunSettings,
    TrainerSettings,
    TrainingSettings,
)
from mrcert_pl.data import AttackedSetHeader
from mrcert_pl.data.attacked_header import read_header
from mrcert_pl.data.images import read_image
from mrcert_pl.errors import MRCertError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.guard.sources import image_formats
from mrcert_pl.guard.uploads import file_in_form, image_in
from mrcert_pl.models import ViTSRF
from mrcert_pl.models.checkpoints import read_checkpoint, with_digest, write_weights
from mrcert_pl.models.rebuild import geometry_of
from mrcert_pl.mutants.shards import FORMAT, Row, read_shard, write_shard
from mrcert_pl.results import EvaluationResult
from mrcert_pl.tasks.stored import stored_subject

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["../..", "${oc.env:HOME}", "_target_", "\0", "1e400"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_MODEL = {"backbone": "vit_tiny_patch16_224", "split": 1, "backbone_args": {"embed_dim": 8, "depth": 2, "num_heads": 1}}
_GIVEN = ModelSettings("vit_srf", {}, ViTSRF)
_ATTACKED = AttackedSetHeader(
    source="digits",
    classes=("zero", "one"),
    images=(4, 1),
    quantize=True,
    patch=32,
    model_name="vit_srf",
    model_kind="vit_srf",
    model_settings=_MODEL,
    checkpoint="checkpoints/best.ckpt",
    attack={"starts": 2, "steps": 3},
    model={"format": 1, "model": "ViTSRF", "config": _MODEL},
    weights_sha256="0f" * 32,
    precision="32-true",
    device="cpu",
    source_settings={"resize": "whole"},
)


@dataclass(frozen=True)
class Target:
    """An input that is fuzzed.

    Attributes:
        inputs: Strategy of inputs.
        read: Reads an input; errors of this package are refusals.
    """

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]


@st.composite
def damaged(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes of a file after one to three kinds of damage."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.integers(0, 64))
        kind = draw(st.sampled_from(["flip", "cut", "remove", "repeat", "replace"]))
        if kind == "flip" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[place:]
        elif kind == "remove":
            del content[place : place + length]
        elif kind == "repeat":
            content[place:place] = content[place : place + length]
        else:
            content[place : place + length] = draw(st.binary(max_size=64))
    return bytes(content)


@st.composite
def rewritten(draw: st.DrawFn, original: Any) -> Any:
    """A JSON value with one part replaced, removed or added at any depth."""
    content = json.loads(json.dumps(original))
    node = content
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or draw(st.integers(0, 2)) == 0:
            kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
            if kind == "remove":
                del node[key]
            elif kind == "add" and isinstance(node, dict):
                node[draw(st.text(max_size=12))] = draw(PLAIN)
            else:
                node[key] = draw(PLAIN)
            break
        node = node[key]
    return content


def targets(folder: Path, result: EvaluationResult) -> dict[str, Target]:
    """Return all targets.

    Args:
        folder: Empty folder for files.
        result: An intact result.
    """
    stated = json.loads(result.write(folder / "results.json").read_text())
    attacked = _ATTACKED.to_json()
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8))
    encoded = {}
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        buffer = BytesIO()
        pixels.save(buffer, kind)
        encoded[kind] = buffer.getvalue()
    images = st.sampled_from(sorted(encoded)).flatmap(lambda kind: damaged(encoded[kind]))
    body = (
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + encoded["PNG"] + b"\r\n--b--"
    )
    kinds = st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data", 'boundary="b"']) | st.text()

    def file(name: str, content: bytes) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    def text(name: str, content: Any) -> Path:
        return file(name, json.dumps(content).encode())

    table, shard = table_of(3), folder / "shard.parquet"
    labels, margins = table.labels[0].numpy().astype(np.int16), table.margins[0].half().numpy()  # type: ignore[index]
    write_shard(
        shard,
        {"format": FORMAT, **HEADER},
        [Row(i, f"{i}.png", 1, "0" * 32, labels, margins, margins.astype(np.float32)) for i in range(2)],
    )
    weights, model = {"head.weight": torch.ones(2, 3)}, folder / "model.safetensors"
    write_weights(model, weights, {"format": 1, "model": "ViTSRF", "config": _MODEL})
    checkpoint = folder / "model.ckpt"
    described = with_digest({"format": 1, "model": "ViTSRF", "config": _MODEL}, weights)
    torch.save({"state_dict": {"model.head.weight": weights["head.weight"]}, "mrcert": described}, checkpoint)
    # Intact, so that refusals are those of damage.
    read_checkpoint(checkpoint)
    return {
        "images": Target(images, lambda content: read_image(file("image.png", content), "apply")),
        "stores": Target(damaged(shard.read_bytes()), lambda content: read_shard(file("store.parquet", content))),
        "checkpoints (safetensors)": Target(
            damaged(model.read_bytes()), lambda content: read_checkpoint(file("damaged.safetensors", content))
        ),
        "checkpoints (ckpt)": Target(
            damaged(checkpoint.read_bytes()), lambda content: read_checkpoint(file("damaged.ckpt", content))
        ),
        "models in checkpoints": Target(
            rewritten({"model": "ViTSRF", "config": {**_MODEL, "num_classes": 2}}),
            lambda content: geometry_of(content, folder),
        ),
        "headers of stores": Target(
            rewritten({"model": {"model": "ViTSRF", "config": _MODEL}, "weights_sha256": "ab", "precision": "32-true"}),
            # As from the command line, with the class that the configuration names.
            lambda content: stored_subject(EvaluationSettings(patch=32, model=_GIVEN), content, folder),
        ),
        "attacked sets": Target(
            rewritten(attacked), lambda content: read_header(text("attack.json", content).parent).model_config()
        ),
        "results": Target(rewritten(stated), lambda content: EvaluationResult.read(text("results.json", content))),
        "results (bytes)": Target(
            damaged(json.dumps(stated).encode()), lambda content: EvaluationResult.read(file("results.json", content))
        ),
        "requests": Target(images | st.binary(max_size=64), lambda content: image_in(content, image_formats(), 10**6)),
        "forms": Target(st.tuples(damaged(body), kinds), lambda form: file_in_form(*form)),
        "settings": Target(st.tuples(st.sampled_from(sorted(_SETTINGS)), PLAIN), _set),
    }


_SETTINGS: dict[str, Callable[[Any], object]] = {
    "patch": PatchSpec,
    "eval patch": lambda value: EvaluationSettings(patch=value),
    "patches": lambda value: EvaluationSettings(patches=value),
    "batch_size": lambda value: EvaluationSettings(batch_size=value),
    "token_budget": lambda value: EvaluationSettings(token_budget=value),
    "evaluate": lambda value: EvaluationSettings(evaluate=value),
    "examples": lambda value: EvaluationSettings(examples=value),
    "limit": lambda value: DatasetSettings(limit=value),
    "workers": lambda value: DatasetSettings(workers=value),
    "attack batch_size": lambda value: AttackSettings(batch_size=value),
    "epochs": lambda value: RecipeSettings(epochs=value),
    "recipe batch_size": lambda value: RecipeSettings(batch_size=value),
    "stage": lambda value: TrainingSettings(stage=value),
    "train patch": lambda value: TrainingSettings(patch=value),
    "seed": lambda value: RunSettings(Path("run"), seed=value),
    "precision": lambda value: TrainerSettings("cpu", precision=value, progress=False).make(Path("run"), [], []),
    "devices": lambda value: TrainerSettings("cpu", devices=value, progress=False).make(Path("run"), [], []),
}


def _set(chosen: tuple[str, Any]) -> object:
    name, value = chosen
    return _SETTINGS[name](value)


def fuzz(target: Target, examples: int) -> Counter[str]:
    """Try a number of inputs; return how many were read and how many refused.

    Raises:
        Exception: Whatever a reader raises that is no error of this package; hypothesis prints the smallest input.
    """
    figures = Counter[str]()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def attempt(content: Any) -> None:
        try:
            target.read(content)
            figures["read"] += 1
        except MRCertError:
            figures["refused"] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attempt()
    return figures


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from result_files import result_of, row

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=2000, help="number of inputs of each target")
    parser.add_argument("--only", nargs="+", help="targets")
    options = parser.parse_args()
    torch.set_num_threads(1)
    whole = Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        for target, made in targets(Path(name), result_of([row(0), row(1)])).items():
            if options.only and target not in options.only:
                continue
            began = time.monotonic()
            figures = fuzz(made, options.examples)
            whole += figures
            print(f"{target}:", {**figures, "seconds": round(time.monotonic() - began)}, flush=True)
    print(f"{whole.total()} inputs: {dict(whole)}, no other error")


if __name__ == "__main__":
    main()
