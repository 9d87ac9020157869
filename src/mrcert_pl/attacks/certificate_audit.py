"""Attacks on certificates: whatever is put on a certified image, its label must stay."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mrcert_pl.attacks import PlacedAttack, Placement
from mrcert_pl.defenders import Defender
from mrcert_pl.files import write_whole
from mrcert_pl.mutants import MutantEvaluator, MutantSet


@dataclass(frozen=True)
class Break:
    """A patched image that proves a promise wrong.

    Attributes:
        kind: ``label``: it has another label than the certified image; ``certificate``: it isn't certified, and the
            round trip of the image promised that.
        key: id of the image. attack: what made the patch. placement: where it is.
        image: ``[3, height, width]``, the certified image. patched: the same with the patch.
        promised: the certified label. label: that of the patched image.
        table: labels ``[mutant]`` of the patched image. margins: their margins.
    """

    kind: Literal["label", "certificate"]
    key: int
    attack: str
    placement: Placement
    image: Tensor
    patched: Tensor
    promised: int
    label: int
    table: Tensor
    margins: Tensor

    def write(self, path: Path) -> Path:
        """Write everything as an ``.npz``, to look at it without this program."""
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
    """What came of it.

    Attributes:
        images: images looked at. certified: those that were attacked. round_trip: of these, those that promised more.
        attacks: patched images that were judged, by what made the patch.
        breaks: those that broke a promise.
    """

    images: int = 0
    certified: int = 0
    round_trip: int = 0
    attacks: Counter[str] = field(default_factory=Counter)
    breaks: list[Break] = field(default_factory=list)

    def broken(self, kind: str, attack: str | None = None) -> int:
        """Number of broken promises of a kind, ``label`` or ``certificate``, by one attack or all of them."""
        return sum(found.kind == kind and attack in (None, found.attack) for found in self.breaks)


class CertificateAudit:
    """Attacks the certificates of one defender and model, at every one of some places.

    Nothing here knows how a certificate is made: a patched version of a certified image must get its label, of a
    round-trip certified one it must be certified too (docs/theory.md, section 1).

    Args:
        model: the base model, in evaluation mode.
        lattice: the mutants of the defender.
        defender: whose certificates are attacked.
        placements: where patches are put; each is one that the certificate is for.
        attacks: what makes them.
        token_budget: most tokens in one batch of mutants; by default what the device has memory for.
    """

    def __init__(
        self,
        model: Any,
        lattice: MutantSet,
        defender: Defender[Any],
        placements: Sequence[Placement],
        attacks: Sequence[PlacedAttack],
        token_budget: int | None = None,
    ) -> None:
        self.model = model
        self.defender = defender
        self.placements = placements
        self.attacks = attacks
        self.evaluator = MutantEvaluator(model, lattice, token_budget)
        self.findings = Findings()

    def image(self, image: Tensor, key: int) -> None:
        """Attack an image ``[3, height, width]`` with this id, if it is certified; ``findings`` has what comes of it.

        If it is round-trip certified, its patched version by the first of the attacks is attacked again at each place.
        """
        verdict = self._judge(image[None])
        self.findings.images += 1
        if not verdict.certified:
            return
        self.findings.certified += 1
        promised, round_trip = int(verdict.label), bool(verdict.round_trip)
        self.findings.round_trip += round_trip
        for number, placement in enumerate(self.placements):
            patched = self._attack(image, promised, round_trip, placement, key)
            if round_trip:
                elsewhere = self.placements[(number + len(self.placements) // 2) % len(self.placements)]
                self._attack(patched, promised, False, elsewhere, key, "second ")

    def _attack(
        self, image: Tensor, promised: int, round_trip: bool, placement: Placement, key: int, which: str = ""
    ) -> Tensor:
        """Attack an image at a place, keep what breaks, and return what the first attack made of it."""
        sources = (attack.patched(self.model, image, promised, placement, key) for attack in self.attacks)
        names, patched = zip(*chain.from_iterable(sources), strict=True)
        self.findings.attacks.update(which + name for name in names)
        judged = self._judge(torch.stack(patched))
        moved = judged.label != promised
        for i in (moved | (~judged.certified & round_trip)).nonzero()[:, 0].tolist():
            found = Break(
                kind="label" if moved[i] else "certificate",
                key=key,
                attack=which + names[i],
                placement=placement,
                image=image,
                patched=patched[i],
                promised=promised,
                label=int(judged.label[i]),
                table=judged.labels[i],
                margins=judged.margins[i],
            )
            self.findings.breaks.append(found)
        return patched[0]

    def _judge(self, images: Tensor) -> "_Judged":
        table = self.evaluator.evaluate(images, self.defender)
        verdicts = self.defender.decide(table)
        assert verdicts.certified is not None
        assert verdicts.round_trip is not None
        assert table.margins is not None
        return _Judged(verdicts.label, verdicts.certified, verdicts.round_trip, table.labels, table.margins)


class _Judged(NamedTuple):
    """Verdicts ``[image]`` and the tables ``[image, mutant]`` that they come from."""

    label: Tensor
    certified: Tensor
    round_trip: Tensor
    labels: Tensor
    margins: Tensor
