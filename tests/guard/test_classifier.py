"""Verdicts are the defender's on the full table, for images of every kind."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import PATCH, comparable, full_table, images_for, kinds, save
from torchvision.transforms.functional import to_pil_image

from mrcert_pl import Guard
from mrcert_pl.data import ImageError
from mrcert_pl.defenders import MRCert, OutputLevel
from mrcert_pl.errors import ConfigurationError, DataError, NumericalError
from mrcert_pl.guard import GuardVerdict, Policy
from mrcert_pl.mutants import PredictionTable

KINDS = kinds()
CASES = [(kind, position) for kind in KINDS for position in range(len(KINDS[kind].defenders))]
LEVELS = {"label": 0, "certificate": 1, "round_trip": 2, "map": 4, "table": 4}
CLAIMS = ("certified", "round_trip", "certified_patches", "certified_fraction")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(KINDS["masked_vit"], tmp_path / "best.ckpt")


@functools.cache
def full_table_of(name: str, position: int) -> PredictionTable:
    return full_table(KINDS[name].model, KINDS[name].defenders[position], images_for(KINDS[name].model))


@pytest.mark.parametrize("output", LEVELS)
@pytest.mark.parametrize(("name", "position"), CASES)
def test_verdicts_are_those_of_the_full_table(name: str, position: int, output: str) -> None:
    kind = KINDS[name]
    defender, images = kind.defenders[position], images_for(kind.model)
    table = full_table_of(name, position)
    expected = defender.decide(table)
    verdicts = Guard(kind.model, defender, PATCH, batch_size=4)(images, output)

    assert [v.label for v in verdicts] == expected.label.tolist()
    assert [v.case for v in verdicts] == expected.case.tolist()
    assert [v.base_label for v in verdicts] == table.labels[:, 0].tolist()
    for row, verdict in enumerate(verdicts):
        column = int(expected.witness[row])
        hidden = None if column < 0 else tuple(torch.arange(len(table.mutants.hidden[0]))[table.mutants.hidden[column]])
        assert verdict.witness == hidden
        for number, claim in enumerate(CLAIMS):
            value = getattr(expected, claim, None)
            given = getattr(verdict, claim)
            if number >= LEVELS[output]:
                assert given is None
            elif value is not None:
                assert given == value[row]
        if column >= 0:
            assert verdict.margin == pytest.approx(
                float(table.margins[row, column]), rel=2**-10, abs=1e-4
            )  # rounded down
        assert verdict.mutants_evaluated <= len(table.mutants)
    if output == "table":
        assert {v.mutants_evaluated for v in verdicts} == {table.mutants.hidden.shape[0]}


def test_the_models_of_these_tests_give_verdicts_of_many_kinds() -> None:
    """Otherwise equal verdicts would say little."""
    found: dict[str, set] = {}
    for name, kind in KINDS.items():
        for defender in kind.defenders:
            for verdict in Guard(kind.model, defender, PATCH)(images_for(kind.model), "certificate"):
                found.setdefault(name, set()).add((verdict.decision, verdict.case))
    assert {case for _, case in found["vit_srf"]} == {1, 2, 3, 4}
    assert {decision for kind in found.values() for decision, _ in kind} == {"accept", "recovered", "abstain"}
    assert {decision for decision, _ in found["column_vit"]} == {"accept", "abstain"}


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGB", "png"), ("L", "png"), ("CMYK", "jpg"), ("I;16", "png"), ("P", "gif"), ("RGBA", "png"), ("1", "png")],
)
def test_photos_of_every_mode_and_size(mode: str, ending: str, checkpoint: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (31, 203, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    path = tmp_path / f"a image.{ending}"
    image.save(path)
    guard = Guard.from_checkpoint(checkpoint)
    by_path, by_string = guard([path, str(path)])
    with Image.open(path) as photo:
        (opened,) = guard(photo)
    assert comparable(by_path) == comparable(by_string)
    assert by_path.image == str(path)
    assert comparable(opened) | {"image": str(path)} == comparable(by_path)


def test_a_photo_and_its_tensor_have_one_verdict(checkpoint: Path) -> None:
    guard = Guard.from_checkpoint(checkpoint)
    pixels = (images_for(guard.model) * 255).round() / 255
    photos = [to_pil_image(image) for image in pixels]
    assert [comparable(v) for v in guard(photos)] == [comparable(v) for v in guard(pixels)]
    assert [v.image for v in guard(pixels[:2])] == ["image 0", "image 1"]
    assert [v.image for v in guard(pixels[:2], names=["a", "b"])] == ["a", "b"]
    assert len(guard(pixels[0])) == 1
    assert guard([]) == guard(pixels[:0]) == []


def test_verdicts_do_not_depend_on_the_batch(checkpoint: Path) -> None:
    images = images_for(KINDS["vit_srf"].model)
    alone, together = (Guard.from_checkpoint(checkpoint, batch_size=size)(images) for size in (1, 6))
    assert [comparable(v) for v in alone] == [comparable(v) for v in together]


def test_each_file_has_its_outcome(checkpoint: Path, tmp_path: Path) -> None:
    """A damaged file in a batch, a batch of damaged ones, and the order of all."""
    files = [tmp_path / name for name in ("a.png", "broken.png", "b.png", "missing.png", "broken.png", "c.png")]
    for number, file in enumerate(files):
        if len(file.stem) == 1:
            Image.new("RGB", (50, 40), (40 * number, 9, 9)).save(file)
    files[1].write_text("no image")
    outcomes = list(Guard.from_checkpoint(checkpoint, batch_size=2).each(files))
    assert [type(outcome) for outcome in outcomes] == [
        GuardVerdict,
        ImageError,
        GuardVerdict,
        ImageError,
        ImageError,
        GuardVerdict,
    ]
    assert [v.image for v in outcomes if isinstance(v, GuardVerdict)] == [str(files[0]), str(files[2]), str(files[5])]
    assert str(outcomes[3]).startswith(f"{files[3]} is missing")


def test_less_is_asked_for_less(checkpoint: Path) -> None:
    guard = Guard.from_checkpoint(checkpoint)
    counts = [sum(v.mutants_evaluated for v in guard(images_for(guard.model), output)) for output in LEVELS]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_meaning_is_that_of_the_theory(checkpoint: Path) -> None:
    guard = Guard.from_checkpoint(checkpoint, patch="1x1,2x1")
    verdicts = guard(images_for(guard.model))
    assert any(v.certified for v in verdicts)
    for verdict in verdicts:
        if not verdict.certified:
            assert verdict.meaning is None
            continue
        patches = {1: "1 patch", 2: "2 patches"}[verdict.certified_patches or 0]
        assert verdict.meaning == (
            f"every image that differs from this one in at most {patches} of at most 1x1 or 2x1 px gets this label, "
            "including the clean original if this image was patched; it does not say that the label is correct"
        )
        assert len(verdict.maps) == 2
        assert all(bool(safe.all()) for safe in verdict.maps)


def test_the_policy_decides(checkpoint: Path) -> None:
    guard = Guard.from_checkpoint(checkpoint, policy=Policy("round_trip"))
    images = images_for(guard.model)
    for verdict in guard(images):
        assert (verdict.decision == "abstain") == (not verdict.round_trip)
    assert {v.decision for v in guard(images, "certificate")} == {None}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 64, 64), r"made for another model: \[3, 64, 112\] is needed"),
        (torch.zeros(2, 64, 112), r"an image of \[2, 64, 112\]"),
        (torch.full((1, 3, 64, 112), 255.0), r"values in \[0, 1\], not torch.float32 from 255 to 255"),
        (torch.zeros(1, 3, 64, 112, device="meta"), "dense tensors with data"),
        (7, "got int"),
    ],
    ids=["size", "channels", "range", "meta", "int"],
)
def test_images_that_are_refused(images: Any, message: str, checkpoint: Path) -> None:
    with pytest.raises(DataError, match=message):
        Guard.from_checkpoint(checkpoint)(images)


def test_a_file_that_is_no_image(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImageError, match=r"notes\.txt can't be read as an image"):
        Guard.from_checkpoint(checkpoint)([tmp_path / "notes.txt"])


def test_names_and_output_levels_are_checked(checkpoint: Path) -> None:
    guard = Guard.from_checkpoint(checkpoint, MRCert())
    images = images_for(guard.model, 2)
    with pytest.raises(ConfigurationError, match="2 images need as many names, got 1"):
        guard(images, names=["a"])
    with pytest.raises(ConfigurationError, match="unknown output level 'everything'"):
        guard(images, "everything")
    with pytest.raises(ConfigurationError, match="want= is now output=: output='label'"):
        guard(images, want="label")
    assert [v.label for v in guard(images, OutputLevel.LABEL)] == [v.label for v in guard(images, "label")]


def test_a_defender_and_a_patch_by_name_and_number() -> None:
    model = KINDS["vit_srf"].model
    named, made = Guard(model, "mrcert_sharp", 1), Guard(model, MRCert(certificate="sharp"), PATCH)
    assert named.defender.name == made.defender.name
    assert named.patch == made.patch
    images = images_for(model)
    assert [comparable(v) for v in named(images)] == [comparable(v) for v in made(images)]


def test_the_exif_rotation_of_a_photo_is_applied(checkpoint: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    applied, ignored = (Guard.from_checkpoint(checkpoint, exif=exif) for exif in ("apply", "ignore"))
    assert torch.equal(applied.prepare(tmp_path / "photo.png"), applied.prepare(np.rot90(pixels, -1)))
    assert torch.equal(ignored.prepare(tmp_path / "photo.png"), applied.prepare(pixels))


def test_one_failing_image_fails_alone(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard.from_checkpoint(checkpoint)
    images = list(images_for(guard.model, 3))
    encode = guard.model.encode

    def damaged(batch: torch.Tensor) -> torch.Tensor:
        features = encode(batch)
        features[(batch == images[1]).flatten(1).all(1)] = torch.nan
        return features

    monkeypatch.setattr(guard.model, "encode", damaged)
    outcomes = guard.each_alone(images)
    assert [isinstance(outcome, NumericalError) for outcome in outcomes] == [False, True, False]


def test_the_legend_of_a_detector_allows_an_alert() -> None:
    model = KINDS["masked_vit"].model
    assert "gets this label or raises an alert" in Guard(model, "patchcensor", PATCH).legend()
    assert "alert" not in Guard(model, "mrcert", PATCH).legend()
