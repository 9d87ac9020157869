"""The audit of certificates: sound ones hold, and planted mistakes are found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from noisy_srf import noisy_srf, random_images

from mrcert_pl.attacks import CheapPatches, adaptive_attack, placement_grid
from mrcert_pl.attacks.certificate_audit import CertificateAudit, Findings
from mrcert_pl.defenders import (
    Defender,
    Detector,
    HiCert,
    MRCert,
    MRCertCascade,
    PatchCensor,
    PatchCURE,
    PatchGuardPlusPlus,
    Verdicts,
)
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.mutants import PredictionTable


class OneMaskIsEnough(PatchCURE):
    """Double masking without the second mask: a quantifier is missing."""

    def decide_complete(self, table: PredictionTable) -> Verdicts:
        one = table.labels[:, : table.mutants.size(1)]
        return replace(super().decide_complete(table), certified=(one == one[:, :1]).all(1))


class RoundTripsForFree(MRCert):
    """Every certificate is taken for one that survives a patch."""

    def decide_complete(self, table: PredictionTable) -> Verdicts:
        verdicts = super().decide_complete(table)
        return replace(verdicts, round_trip=verdicts.certified)


def audit(
    defender: Defender,
    columns: int = 6,
    lattice: UnionLattice | None = None,
    images: int = 4,
    seed: int = 0,
    step_px: int = 28,
) -> Findings:
    """Attack a small model with columns of 16 px by patches that are as high as the image and 12 px wide."""
    px = 16 * columns
    size = {"img_size": px, "embed_dim": 32, "depth": 3, "num_heads": 2}
    model = noisy_srf(seed, split=1, window=(columns, 1), backbone_args=size).requires_grad_(False)
    patch = PatchSpec((px, 12))
    lattice = lattice or defender.mutants(model, patch)
    pixels = random_images(images, px)
    adaptive = adaptive_attack(defender, lattice, steps=8, step_size=0.2, mutants=8)
    attacks = [adaptive, CheapPatches(pixels[:1])]
    found = CertificateAudit(model, lattice, defender, placement_grid(patch, (px, px), step_px), attacks)
    for image_id, image in enumerate(pixels):
        found.image(image, image_id)
    return found.findings


@pytest.mark.parametrize("defender", [PatchCURE(), MRCert(1, "sharp"), MRCertCascade(1)], ids=lambda d: d.name)
def test_nothing_breaks_what_is_proven(defender: Defender) -> None:
    findings = audit(defender)
    assert findings.images == 4
    assert findings.certified >= 2
    assert findings.attacks["adaptive"] == findings.attacks["random"] == 4 * findings.certified
    assert findings.breaks == []


def test_a_proven_round_trip_holds_against_a_second_patch() -> None:
    findings = audit(MRCert(2, "sharp"), columns=10, images=1, seed=3, step_px=44)
    assert findings.round_trip == 1
    assert findings.attacks["second adaptive"] == findings.attacks["adaptive"] == 5
    assert findings.breaks == []


def test_masks_that_are_a_window_too_small_are_found() -> None:
    single = UnionLattice([1 << window for window in range(6)], windows=6, order=2)
    findings = audit(PatchCURE(), lattice=single)
    assert findings.broken("label") > 0
    # Only where the patch lies in two windows.
    assert {found.placement.left % 16 > 4 for found in findings.breaks} == {True}


def test_a_missing_quantifier_is_found() -> None:
    assert audit(OneMaskIsEnough()).broken("label") > 0


def test_a_round_trip_that_is_not_proven_is_found() -> None:
    findings = audit(RoundTripsForFree(2, "sharp"), columns=10, images=1, seed=1, step_px=44)
    assert findings.round_trip > 0
    assert findings.broken("certificate") > 0
    assert findings.attacks["second adaptive"] == findings.attacks["adaptive"]


def test_a_break_can_be_checked_from_its_file_alone(tmp_path: Path) -> None:
    found = audit(OneMaskIsEnough()).breaks[0]
    content = np.load(found.write(tmp_path / "break.npz"))
    top, left, height, width = content["placement"]
    patched = content["image"].copy()
    patched[:, top : top + height, left : left + width] = content["patch"]
    assert np.array_equal(patched, content["patched"])
    lattice = UnionLattice([0b11 << window for window in range(5)], windows=6, order=2)
    table = PredictionTable(lattice, torch.from_numpy(content["table"])[None])
    assert int(OneMaskIsEnough().decide(table).label) == int(content["label"]) != int(content["promised"])
    assert content["margins"].shape == content["log_odds"].shape == content["table"].shape
    assert str(content["kind"]) == "label"


class SkipsAMask(PatchCensor):
    """The last mask is asked neither for the alert nor for the certificate."""

    def decide_part(self, table: PredictionTable, *arguments: Any, **settings: Any) -> Verdicts:
        labels = table.labels.clone()
        labels[:, -1] = labels[:, 1]
        return super().decide_part(replace(table, labels=labels), *arguments, **settings)


class TurnedRound(HiCert):
    """The certificate takes confident entries for ones in doubt; the alert is as it should be."""

    def decide_part(self, table: PredictionTable, *arguments: Any, **settings: Any) -> Verdicts:
        turned = super().decide_part(replace(table, log_odds=-table.log_odds), *arguments, **settings)
        return replace(super().decide_part(table, *arguments, **settings), detects=turned.detects)


@pytest.mark.parametrize(
    "detector", [PatchCensor(), HiCert(0.6), HiCert(1.0), PatchGuardPlusPlus(0.3)], ids=lambda d: d.name
)
def test_no_patch_is_harmful_and_silent_on_a_certified_image(detector: Detector) -> None:
    findings = audit(detector, images=2)
    assert findings.certified > 0
    assert findings.attacks["silent"] == findings.attacks["random"] == 4 * findings.certified
    assert findings.breaks == []
    assert findings.detected.total() > 0


def test_a_detector_that_skips_a_mask_is_found() -> None:
    findings = audit(SkipsAMask(), images=2)
    # Only under this mask, the last two of six columns of 16 px, and by the attack on the alert alone.
    assert {(found.placement.left, found.attack) for found in findings.breaks} == {(84, "silent")}


def test_a_threshold_turned_round_is_found() -> None:
    findings = audit(TurnedRound(0.6), images=1)
    assert "silent" in {found.attack for found in findings.breaks}
    assert findings.broken("label") == len(findings.breaks)
