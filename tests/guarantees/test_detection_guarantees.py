"""Detectors certify exactly what no attacker can break: every table, every confidence, every place, every content."""

from typing import Any

import numpy as np
import pytest
import torch
from reference.patch_game import SMALL_GRIDS, PatchGame, kept_entries, small_lattice
from torch import Tensor

from mrcert_pl.defenders import (
    ANY_LABEL,
    NO_LABEL,
    Defender,
    Detector,
    HiCert,
    MRCertCascade,
    PatchCensor,
    PatchCURE,
    PatchGuardPlusPlus,
    Verdicts,
)
from mrcert_pl.mutants.table import PredictionTable
from mrcert_pl.verification import detection as second

# Low and high confidence, on both sides of every threshold below but 0 and 1.
LEVELS = torch.tensor([-2.0, 2.0])
DETECTORS: dict[str, Detector] = {
    "patchcensor": PatchCensor(),
    "hicert": HiCert(0.5),
    "hicert, 0": HiCert(0.0),
    "hicert, 1": HiCert(1.0),
    "patchguardpp": PatchGuardPlusPlus(0.5),
    "patchguardpp, 0": PatchGuardPlusPlus(0.0),
}
CASES = [(grid, 3 if windows == 3 else 2, 1) for grid, (_, windows) in SMALL_GRIDS.items() if windows < 5]
CASES += [("3 single windows", 2, 2), ("3 windows, masks of 2", 2, 2)]


class DetectionGame(PatchGame):
    """Every table of labels and confidences; an entry is one of ``classes * 2`` symbols."""

    def __init__(self, grid: str, classes: int, patches: int) -> None:
        super().__init__(small_lattice(grid, patches), classes * len(LEVELS))
        symbols = self.table.labels
        log_odds = LEVELS[symbols // classes]
        self.labels = classes
        self.played = PredictionTable(self.lattice, symbols % classes, torch.ones_like(log_odds), log_odds)
        self.places = self.lattice.unions[1 : self.lattice.size(patches)]

    def silent_labels(self, verdicts: Verdicts) -> Tensor:
        """``[table, label]``: whether some patched version of the table has this label and raises no alert."""
        assert verdicts.alert is not None
        reached = []
        for label in range(self.labels):
            outcome = (verdicts.label == label) & (verdicts.alert < 0)
            grid = outcome.view([self.classes] * len(self.lattice))
            found = torch.zeros_like(outcome)
            for place in self.places:
                free = (~kept_entries(self.lattice, place)).nonzero()[:, 0].tolist()
                found |= grid.amax(free, keepdim=True).expand_as(grid).flatten()
            reached.append(found)
        return torch.stack(reached, 1)

    def detects(self, verdicts: Verdicts) -> Tensor:
        """The label that no attacker can avoid without an alert, from the attacks alone."""
        silent = self.silent_labels(verdicts)
        one = torch.where(silent.sum(1) == 1, silent.int().argmax(1), NO_LABEL)
        return torch.where(silent.any(1), one, ANY_LABEL)


def of_patches(detector: Detector, patches: int) -> Detector:
    threshold = {} if isinstance(detector, PatchCensor) else {"threshold": detector.threshold}  # type: ignore[attr-defined]
    return type(detector)(at_once=patches, **threshold)


@pytest.mark.parametrize(("grid", "classes", "patches"), CASES)
@pytest.mark.parametrize("name", DETECTORS)
def test_certificates_are_sound_and_exact(name: str, grid: str, classes: int, patches: int) -> None:
    game, detector = DetectionGame(grid, classes, patches), of_patches(DETECTORS[name], patches)
    verdicts = detector.decide(game.played)
    assert torch.equal(verdicts.detects, game.detects(verdicts))
    assert not verdicts.certified.any()


@pytest.mark.parametrize("name", ["patchcensor", "hicert", "hicert, 0"])
def test_silence_is_a_certificate(name: str) -> None:
    game = DetectionGame("4 windows, masks of 2", 2, 1)
    verdicts = DETECTORS[name].decide(game.played)
    silent = verdicts.alert < 0
    assert silent.any()
    assert torch.equal(verdicts.detects[silent], verdicts.label[silent])


def test_silence_of_patchguardpp_is_none() -> None:
    game = DetectionGame("4 windows, masks of 2", 2, 1)
    verdicts = DETECTORS["patchguardpp"].decide(game.played)
    assert (verdicts.detects[verdicts.alert < 0] == NO_LABEL).any()


def test_the_thresholds_at_the_ends() -> None:
    game = DetectionGame("3 windows, masks of 2", 3, 1)
    agreement, zero, one = (DETECTORS[name].decide(game.played) for name in ("patchcensor", "hicert, 0", "hicert, 1"))
    assert torch.equal(agreement.alert, zero.alert)
    assert torch.equal(agreement.detects, zero.detects)
    assert (one.alert >= 0).all()
    assert (one.detects == ANY_LABEL).all()


@pytest.mark.parametrize("name", ["patchcensor", "hicert", "patchguardpp"])
@pytest.mark.parametrize("recovery", [PatchCURE(), MRCertCascade()], ids=lambda recovery: recovery.name)
def test_recovery_after_an_alert(name: str, recovery: Defender[Any]) -> None:
    """The corollary: the pipeline keeps what both certify; the second certificate alone suffices for double masking."""
    game = DetectionGame("3 windows, masks of 2", 2, 4)
    alarm, recovered = of_patches(DETECTORS[name], 1).decide(game.played), recovery.decide(game.played)
    assert alarm.alert is not None
    assert alarm.detects is not None
    assert recovered.certified is not None
    lost = game.attackable(torch.where(alarm.alert < 0, alarm.label, recovered.label))
    both = recovered.certified & ((alarm.detects == recovered.label) | (alarm.detects == ANY_LABEL))
    assert both.any()
    assert not (both & lost).any()
    enough = recovery.name == "patchcure" and name != "patchguardpp"
    assert torch.equal(both, recovered.certified) == enough
    assert (recovered.certified & lost).any() != enough


class SkipsAMask(PatchCensor):
    """Planted: the last mask is never asked."""

    def decide_part(self, table: PredictionTable, *arguments: Any, **settings: Any) -> Verdicts:
        labels = table.labels.clone()
        labels[:, -1] = labels[:, 1]
        return super().decide_part(PredictionTable(table.mutants, labels), *arguments, **settings)


class TurnedRound(HiCert):
    """Planted: confident entries are in doubt."""

    def agreement_alerts(self, log_odds: Tensor, margin: float) -> Tensor:
        return log_odds > self.log_odds_threshold - margin


class AlertsLess(HiCert):
    """Planted: the certificate counts on an alert that agreeing entries don't raise."""

    def decide_part(self, table: PredictionTable, *arguments: Any, **settings: Any) -> Verdicts:
        verdicts = super().decide_part(table, *arguments, **settings)
        agreement = PatchCensor().decide_part(table, *arguments, **settings)
        return Verdicts(**{**vars(verdicts), "alert": agreement.alert})


@pytest.mark.parametrize("detector", [SkipsAMask(), AlertsLess(0.5)], ids=lambda detector: type(detector).__name__)
def test_planted_mistakes_are_found(detector: Detector) -> None:
    game = DetectionGame("4 windows, masks of 2", 2, 1)
    verdicts = detector.decide(game.played)
    assert not torch.equal(verdicts.detects, game.detects(verdicts))


def test_a_threshold_turned_round_differs_from_the_second_implementation() -> None:
    """Turned round in the alert and in the certificate it is sound, but another rule."""
    game = DetectionGame("4 windows, masks of 2", 2, 1)
    answers = rules_of(game, "hicert", threshold=0.5)
    assert (answers["alert"] != TurnedRound(0.5).decide(game.played).alert.numpy()).any()


def rules_of(game: DetectionGame, name: str, margins: Tensor | None = None, **settings: Any) -> dict[str, np.ndarray]:
    table = game.played
    mutants = table.mutants.identity()
    given = [table.labels.numpy(), (table.margins if margins is None else margins).numpy()]
    if name != "patchcensor":
        given.append(table.log_odds.double().numpy())
    rule: Any = getattr(second, name)
    return rule(mutants, *given, **settings)


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.5])
@pytest.mark.parametrize(("grid", "patches"), [("3 windows, masks of 2", 1), ("3 single windows", 2)])
@pytest.mark.parametrize("name", ["patchcensor", "hicert", "patchguardpp"])
def test_the_second_implementation_agrees(name: str, grid: str, patches: int, margin: float) -> None:
    game = DetectionGame(grid, 2, patches)
    margins = torch.rand(game.played.labels.shape, generator=torch.Generator().manual_seed(1))
    rows = torch.randperm(len(margins), generator=torch.Generator().manual_seed(2))[:400]
    game.played = PredictionTable(game.lattice, game.played.labels, margins, game.played.log_odds).rows(rows)
    settings = {"margin": margin, "at_once": patches} | ({} if name == "patchcensor" else {"threshold": 0.6})
    detector: Any = {"patchcensor": PatchCensor, "hicert": HiCert, "patchguardpp": PatchGuardPlusPlus}[name]
    verdicts = detector(**settings).decide(game.played)
    answers = rules_of(game, name, **settings)
    names = {"prediction": "label"}
    for field, values in answers.items():
        assert np.array_equal(getattr(verdicts, names.get(field, field)).numpy(), values), field


@pytest.mark.parametrize("name", ["patchcensor", "hicert", "patchguardpp"])
def test_a_margin_holds_in_every_later_run(name: str) -> None:
    """Theorem 22: logits that move by up to delta, and a certificate with a margin of twice that."""
    delta, lattice, draw = 0.3, small_lattice("4 windows, masks of 2", 1), torch.Generator().manual_seed(5)
    settings = {} if name == "patchcensor" else {"threshold": 0.7}
    detector: Any = {"patchcensor": PatchCensor, "hicert": HiCert, "patchguardpp": PatchGuardPlusPlus}[name]
    logits = 2 * torch.randn(4000, len(lattice), 3, generator=draw)
    promised = detector(margin=2 * delta, **settings).decide(table_of(lattice, logits)).detects
    careless = detector(**settings).decide(table_of(lattice, logits)).detects
    broken = 0
    for _ in range(20):
        moved = logits + delta * (2 * torch.rand(logits.shape, generator=draw) - 1)
        later = detector(**settings).decide(table_of(lattice, moved)).detects
        assert holds(promised, later).all()
        broken += int((~holds(careless, later)).sum())
    assert (promised != NO_LABEL).any()
    assert broken > 0, "without the margin later runs break certificates"


def of_two_runs(name: str, threshold: float, shift: float) -> tuple[PredictionTable, PredictionTable]:
    """Tables that agree in all labels, with log-odds near a distance of ``shift`` from the threshold, and moved by it.

    HiCert certifies below the threshold, PatchGuard++ above. Log-odds are rounded to float32 in both.
    """
    lattice, limit = small_lattice("3 windows, masks of 2", 1), np.log(threshold / (1 - threshold))
    side = -1 if name == "hicert" else 1
    step = 2.0**-26 * (abs(limit) + shift)
    odds = torch.from_numpy(limit + side * (shift + step * np.arange(-4, 400)))
    first, second = (part[:, None].repeat(1, len(lattice)).float() for part in (odds, odds - side * shift))
    labels, margins = torch.ones(first.shape, dtype=torch.long), torch.full(first.shape, 1e4)
    tables = [PredictionTable(lattice, labels, margins, part) for part in (first, second)]
    return tables[0], tables[1]


@pytest.mark.parametrize("implementation", ["package", "second"])
@pytest.mark.parametrize("threshold", [0.3, 0.8, 1 - 1e-12, 1e-9])
@pytest.mark.parametrize("shift", [1e-9, 1e-6, 1e-3, 0.7])
@pytest.mark.parametrize("name", ["hicert", "patchguardpp"])
def test_a_margin_covers_the_rounding_of_log_odds(
    name: str, shift: float, threshold: float, implementation: str
) -> None:
    """Theorem 22: what both runs lose in float32 is not in the margin."""
    detector: Any = {"hicert": HiCert, "patchguardpp": PatchGuardPlusPlus}[name]

    def detects(table: PredictionTable, margin: float) -> Tensor:
        if implementation == "package":
            return detector(threshold, margin=margin).decide(table).detects
        assert table.log_odds is not None
        rule: Any = getattr(second, name)
        arrays = (part.double().numpy() for part in (table.margins, table.log_odds) if part is not None)
        answers = rule(
            table.mutants.identity(), table.labels.numpy(), *arrays, threshold=threshold, at_once=1, margin=margin
        )
        return torch.from_numpy(answers["detects"])

    first, later = of_two_runs(name, threshold, shift)
    promised = detects(first, shift)
    certified = promised == (ANY_LABEL if name == "hicert" else 1)
    assert certified.any()
    assert not certified.all()
    assert torch.equal(detects(later, 0.0)[certified], promised[certified])


@pytest.mark.parametrize(("name", "threshold"), [("hicert", 0.7), ("patchguardpp", 0.8)])
def test_a_confidence_at_the_threshold_is_compared_in_double_precision(name: str, threshold: float) -> None:
    """The nearest number of float32 to the threshold is on the side that raises an alert."""
    detector: Any = {"hicert": HiCert, "patchguardpp": PatchGuardPlusPlus}[name](threshold)
    lattice, limit = small_lattice("3 windows, masks of 2", 1), detector.log_odds_threshold
    odds = torch.full((1, len(lattice)), limit)
    assert (float(odds[0, 0]) < limit) == (name == "hicert")
    labels = torch.ones(1, len(lattice), dtype=torch.long)
    labels[:, 0] = int(name == "hicert")
    rule: Any = getattr(second, name)
    answers = rule(lattice.identity(), labels.numpy(), np.ones(odds.shape), odds.double().numpy(), threshold=threshold)
    assert (
        detector.decide(PredictionTable(lattice, labels, None, odds)).alert.tolist() == answers["alert"].tolist() == [1]
    )


def holds(promised: Tensor, later: Tensor) -> Tensor:
    """Whether a later run still certifies what was promised."""
    return (promised == NO_LABEL) | (later == promised) | (later == ANY_LABEL)


def table_of(lattice: Any, logits: Tensor) -> PredictionTable:
    from mrcert_pl.mutants.confidence import log_odds

    best = logits.topk(2, dim=2).values
    return PredictionTable(lattice, logits.argmax(2), best[..., 0] - best[..., 1], log_odds(logits).float())
