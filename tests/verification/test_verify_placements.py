"""Verification of the patch, its placements and the location maps."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import BORDERS, evaluation, found, rewrite

from mrcert_pl.verification import evaluation as evaluation_module
from mrcert_pl.verification import verify
from mrcert_pl.verification.claims import Evidence


@pytest.mark.parametrize("patch", [9, 16, "8x16", [8, 16], "100%", 49, 0, -1, "x", None])
def test_a_patch_that_the_masks_do_not_cover_is_found(run: Path, patch: Any) -> None:
    def state(content: dict[str, Any]) -> None:
        content["patch"] = content["config"]["patch"] = patch

    rewrite(run, state)
    assert found(run)


def test_the_first_placement_without_a_mask_is_named(run: Path) -> None:
    def state(content: dict[str, Any]) -> None:
        content["patch"] = content["config"]["patch"] = "8x10"

    rewrite(run, state)
    (difference,) = [d for d in verify(run).differences if d.field == "patch"]
    assert difference.computed == "no mask covers the 8x10 px patch whose top left pixel is (0, 7)"


def test_masks_without_places_are_refused_where_they_matter(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undefended = evaluation(tmp_path / "undefended", "undefended")
    assert found(undefended) == ""
    monkeypatch.setattr(Evidence, "borders", lambda self: None)
    assert "don't say where the windows are" in found(run)
    assert found(undefended) == ""


def test_a_patch_in_per_cent_is_one_of_the_whole_image(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of windows of 8 px are 16 px high."""
    seen = []
    monkeypatch.setattr(Evidence, "borders", lambda self: [[0, 8, 16], list(BORDERS[1])])
    monkeypatch.setattr(evaluation_module, "shapes_px", lambda result, image_px: seen.append(image_px) or [(8, 8)])
    verify(run)
    assert seen == [(16, 48)]


@pytest.mark.parametrize("array", ["counts_0", "n", "image_px"])
def test_changed_maps_are_found(run: Path, array: str) -> None:
    with np.load(run / "locations.npz") as file:
        maps = dict(file)
    for changed in (maps[array] + 1, maps[array].astype(float), np.zeros(3, int)):
        np.savez(run / "locations.npz", **{**maps, array: changed})
        assert "locations.npz" in found(run)
    np.savez(run / "locations.npz", **{name: value for name, value in maps.items() if name != array})
    assert "locations.npz" in found(run)
    np.savez(run / "locations.npz", **maps, counts_1=maps["counts_0"])
    assert "locations.npz: counts_1" in found(run)
    (run / "locations.npz").unlink()
    assert "locations.npz" in found(run)


def test_maps_of_a_defender_without_maps_are_found(tmp_path: Path, run: Path) -> None:
    other = evaluation(tmp_path / "other", "mrcert")
    shutil.copy(run / "locations.npz", other)
    assert "locations.npz" in found(other)
