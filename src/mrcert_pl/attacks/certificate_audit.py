"""Attacks on certificates: no patch on a certified image may change its label, without an alert of a detector."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrcert_pl.attacks.base import PlacedAttack
from mrcert_pl.attacks.placement import Placement
from mrcert_pl.defenders import NO_ALERT, NO_LABEL, Defender
from mrcert_pl.files import write_whole
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.mutants import MutantEvaluator, MutantSet


@dataclass(frozen=True)
class Break:
    """A patched image that contradicts a certificate.

    Attributes:
        kind: ``label``: it raises no alert, and its label is not the certified one; ``certificate``: it is not
            certified although the image is round-trip certified.
        image_id: Id of the image.
        attack: Kind of patch.
        placement: Placement of the patch.
        image: Certified image.
        patched: The same image with the patch.
        promised: Certified label; :data:`~mrcert_pl.defenders.ANY_LABEL` if every patched image must raise an alert.
        label: Label of the patched image.
        table: Labels of the mutants of the patched image.
        margins: Margins of these labels.
        log_odds: Log-odds of their confidences.
    """

    kind: Literal["label", "certificate"]
    image_id: int
    attack: str
    placement: Placement
    image: Float[Tensor, "3 height width"]
    patched: Float[Tensor, "3 height width"]
    promised: int
    label: int
    table: Int[Tensor, " mutant"]
    margins: Float[Tensor, " mutant"]
    log_odds: Float[Tensor, " mutant"]

    def write(self, path: Path) -> Path:
        """Write all fields as an ``.npz``, which NumPy alone can read."""
        arrays: dict[str, Any] = {
            name: value.cpu().numpy() if isinstance(value, Tensor) else value for name, value in vars(self).items()
        }
        arrays["patch"] = arrays["patched"][self.placement.pixels]

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                np.savez_compressed(file, **arrays)

        return write_whole(path, write)


@dataclass
class Findings:
    """Counts of an audit.

    Attributes:
        images: Number of images.
        certified: Number of certified images, detection-certified for a detector; these were attacked.
        round_trip: Number of round-trip certified images.
        attacks: Number of patched images by kind of patch.
        detected: Those of another label than the certified one that raise an alert.
        breaks: Patched images that contradict a certificate.
    """

    images: int = 0
    certified: int = 0
    round_trip: int = 0
    attacks: Counter[str] = field(default_factory=Counter)
    detected: Counter[str] = field(default_factory=Counter)
    breaks: list[Break] = field(default_factory=list)

    def copy(self) -> "Findings":
        """Return the counts so far, which later images leave as they are."""
        return replace(self, attacks=Counter(self.attacks), detected=Counter(self.detected), breaks=list(self.breaks))

    def broken(self, kind: str, attack: str | None = None) -> int:
        """Count the breaks of one kind, ``label`` or ``certificate``, by one kind of patch or all of them."""
        return sum(found.kind == kind and attack in (None, found.attack) for found in self.breaks)


class CertificateAudit:
    """Attack the certificates of one defender and model at every given placement.

    The audit does not use the rules of the defender: a patched version of a certified image must get its label, and of
    a round-trip certified image it must be certified too (docs/theory.md, section 1). A patched version of a
    detection-certified image must get its label or raise an alert (Definition 14).

    Args:
        model: Base model in evaluation mode.
        mutants: Mutants of the defender.
        defender: Defender whose certificates are attacked.
        placements: Placements of the patches; the certificate must be for patches of this size.
        attacks: Sources of patches.
        token_budget: Token budget of one batch of mutants; default: derived from free device memory.

    Attributes:
        findings: Counts of the images so far.
        on_progress: Receiver of the finished fraction of an image, after every placement.
    """

    def __init__(
        self,
        model: BaseModel,
        mutants: MutantSet,
        defender: Defender[Any],
        placements: Sequence[Placement],
        attacks: Sequence[PlacedAttack],
        token_budget: int | None = None,
    ) -> None:
        self.model = model
        self.defender = defender
        self.placements = placements
        self.attacks = attacks
        self.evaluator = MutantEvaluator(model, mutants, token_budget)
        self.findings = Findings()
        self.on_progress: Callable[[float], None] | None = None

    def image(self, image: Float[Tensor, "3 height width"], image_id: int) -> None:
        """Attack an image if it is certified, and add to ``findings``.

        If it is round-trip certified, its patched version by the first of the attacks is attacked again at another
        placement.
        """
        verdict = self._judge(image[None])
        self.findings.images += 1
        promised, round_trip = int(verdict.promised), bool(verdict.round_trip)
        if promised == NO_LABEL:
            return
        self.findings.certified += 1
        self.findings.round_trip += round_trip
        for number, placement in enumerate(self.placements):
            patched = self._attack(image, promised, round_trip, placement, image_id)
            if round_trip:
                elsewhere = self.placements[(number + len(self.placements) // 2) % len(self.placements)]
                self._attack(patched, promised, False, elsewhere, image_id, "second ")
            if self.on_progress is not None:
                self.on_progress((number + 1) / len(self.placements))

    def _attack(
        self, image: Tensor, promised: int, round_trip: bool, placement: Placement, image_id: int, prefix: str = ""
    ) -> Tensor:
        """Attack an image at a placement, keep the breaks, and return the patched image of the first attack."""
        sources = (attack.patched(self.model, image, promised, placement, image_id) for attack in self.attacks)
        names, patched = zip(*chain.from_iterable(sources), strict=True)
        self.findings.attacks.update(prefix + name for name in names)
        judged = self._judge(torch.stack(patched))
        other = judged.label != promised
        self.findings.detected.update(prefix + names[i] for i in (other & judged.alert).nonzero()[:, 0].tolist())
        moved = other & ~judged.alert
        uncertified = judged.promised == NO_LABEL
        for i in (moved | (uncertified & round_trip)).nonzero()[:, 0].tolist():
            found = Break(
                kind="label" if moved[i] else "certificate",
                image_id=image_id,
                attack=prefix + names[i],
                placement=placement,
                image=image,
                patched=patched[i],
                promised=promised,
                label=int(judged.label[i]),
                table=judged.table[i],
                margins=judged.margins[i],
                log_odds=judged.log_odds[i],
            )
            self.findings.breaks.append(found)
        return patched[0]

    def _judge(self, images: Tensor) -> "_Judged":
        table = self.evaluator.evaluate(images, self.defender)
        verdicts = self.defender.decide(table)
        assert verdicts.certified is not None
        assert verdicts.round_trip is not None
        assert table.margins is not None
        assert table.log_odds is not None
        recovers = torch.where(verdicts.certified, verdicts.label, NO_LABEL)
        return _Judged(
            label=verdicts.label,
            alert=torch.zeros_like(verdicts.certified) if verdicts.alert is None else verdicts.alert != NO_ALERT,
            promised=recovers if verdicts.detects is None else verdicts.detects,
            round_trip=verdicts.round_trip,
            table=table.labels,
            margins=table.margins,
            log_odds=table.log_odds,
        )


@dataclass(frozen=True)
class _Judged:
    """Verdicts and the tables that they follow from."""

    label: Int[Tensor, " image"]
    alert: Bool[Tensor, " image"]
    promised: Int[Tensor, " image"]
    round_trip: Bool[Tensor, " image"]
    table: Int[Tensor, "image mutant"]
    margins: Float[Tensor, "image mutant"]
    log_odds: Float[Tensor, "image mutant"]
