"""Audits: attacks on certificates, and the spread of logits between methods of computation."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrcert_pl.attacks import CheapPatches, adaptive_attack, placement_grid
from mrcert_pl.attacks.certificate_audit import CertificateAudit, Findings
from mrcert_pl.attacks.logit_spread import LogitSpread
from mrcert_pl.data import ImageSplit
from mrcert_pl.defenders import Defender, Detector
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.guard.base_model import device_named
from mrcert_pl.results.runs import CERTIFICATES, NUMERICS
from mrcert_pl.results.schema import (
    AttackTally,
    CertificateAuditResult,
    Environment,
    LogitDifference,
    NumericsResult,
)
from mrcert_pl.tasks.announce import announce_certificate_audit, announce_numerics, announce_run
from mrcert_pl.tasks.checks import check_choice, check_mapping, check_number
from mrcert_pl.tasks.progress import within
from mrcert_pl.tasks.runtime import log, opened
from mrcert_pl.tasks.subject import Subject, SubjectSettings, defender_of, document_facts, load_subject

_PRECISION = "32-true"
_ADAPTIVE = ("starts", "steps", "step_size", "mutants")


@dataclass(frozen=True)
class CertificateAuditSettings(SubjectSettings):
    """Settings of :func:`audit_certificates`, in addition to those of :class:`mrcert_pl.tasks.subject.SubjectSettings`.

    Attributes:
        defender: defender, or its name in the registry.
        step_px: stride of the grid of placements in px.
        exemplars: number of images of the data set used as patches, one per class.
        adaptive: ``starts``, ``steps``, ``step_size`` and ``mutants`` of :func:`mrcert_pl.attacks.adaptive_attack`.
        token_budget: token budget per batch; default: derived from free device memory.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    defender: Defender[Any] | str = "mrcert"
    step_px: int = 56
    exemplars: int = 2
    adaptive: Mapping[str, Any] = field(default_factory=dict)
    token_budget: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("images", self.dataset.limit, 1, optional=True)
        check_mapping("adaptive", self.adaptive)
        for name in self.adaptive:
            check_choice("setting of adaptive", name, _ADAPTIVE)
        check_number("exemplars", self.exemplars, 0)
        check_number("step_px", self.step_px, 1)
        check_number("token_budget", self.token_budget, 1, optional=True)


@dataclass(frozen=True)
class NumericsSettings(SubjectSettings):
    """Settings of :func:`audit_numerics`, in addition to those of :class:`mrcert_pl.tasks.subject.SubjectSettings`.

    Attributes:
        defender: defender whose mutants are computed.
        mutants: number of mutants per image.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    defender: Defender[Any] | str = "mrcert"
    mutants: int = 32
    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("mutants", self.mutants, 1)


def audit_certificates(settings: CertificateAuditSettings) -> CertificateAuditResult:
    """Attack certified images at every placement of a grid; write the counts, and a file for every broken certificate.

    Raises:
        ConfigurationError: for settings that cannot work.
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        DataError: for missing images.
    """
    with opened(settings.run, leaves=CERTIFICATES):
        return _audit_certificates(settings)


def _audit_certificates(settings: CertificateAuditSettings) -> CertificateAuditResult:
    run = settings.run
    device = device_named(settings.device)
    defender = defender_of(settings.defender, settings.patches)
    subject = load_subject(settings, defender)
    mutants = defender.mutants(subject.model, subject.patch, subject.stride)
    placements = placement_grid(subject.patch, subject.model.image_px, settings.step_px)
    data = settings.dataset.load(subject.model.image_px, run.seed)
    split = data.split("test")
    announce_run(data, {"test": len(split)}, subject.name, mutants, str(device), _PRECISION, run.folder)
    model = subject.model.requires_grad_(False).to(device)
    adaptive = adaptive_attack(defender, mutants, seed=run.seed, **settings.adaptive)
    cheap = CheapPatches(_exemplars(split, settings.exemplars), run.seed)
    announce_certificate_audit(
        model, mutants, adaptive, placements, len(split), cheap.number, settings.token_budget, device
    )
    audit = CertificateAudit(model, mutants, defender, placements, [adaptive, cheap], settings.token_budget)
    audit.on_progress = within(run.track)
    finished, started = _Finished(), time.perf_counter()
    try:
        with torch.no_grad():
            for i in run.track(range(len(split)), "Attacking certificates", len(split)):
                sample = split[i]
                audit.image(sample.image.to(device), sample.id)
                finished = finished.after(audit, time.perf_counter() - started, run.folder / "breaks")
    except KeyboardInterrupt:
        if images := finished.findings.images:
            file = _write_result(settings, subject, defender, finished, len(placements), str(device))[1]
            log.warning("%d of %d images are finished: %s", images, len(split), file)
        raise
    return _write_result(settings, subject, defender, finished, len(placements), str(device))[0]


@dataclass(frozen=True)
class _Finished:
    """What an audit has found on whole images.

    Attributes:
        findings: counts.
        files: a file for each break.
        seconds: time so far.
        labelled: number of mutants so far.
    """

    findings: Findings = field(default_factory=Findings)
    files: tuple[Path, ...] = ()
    seconds: float = 0.0
    labelled: int = 0

    def after(self, audit: CertificateAudit, seconds: float, folder: Path) -> "_Finished":
        """Return what has been found after a further image, whose breaks are written."""
        findings, known = audit.findings.copy(), len(self.files)
        new = [
            found.write(folder / f"{found.image_id}_{number}.npz")
            for number, found in enumerate(findings.breaks[known:], start=known)
        ]
        return _Finished(findings, (*self.files, *new), seconds, audit.evaluator.labelled)


def _write_result(
    settings: CertificateAuditSettings,
    subject: Subject,
    defender: Defender[Any],
    finished: _Finished,
    placements: int,
    device: str,
) -> tuple[CertificateAuditResult, Path]:
    """Write the result of an audit; return it and its file."""
    findings = finished.findings
    tallies = [
        AttackTally(
            name,
            tried,
            labels_broken=findings.broken("label", name),
            certificates_broken=findings.broken("certificate", name),
            detected=findings.detected[name] if isinstance(defender, Detector) else None,
        )
        for name, tried in findings.attacks.items()
    ]
    result = CertificateAuditResult(
        **document_facts(settings, subject, Environment.here(device, _PRECISION)),
        defender=defender.name,
        images=findings.images,
        certified=findings.certified,
        round_trip=findings.round_trip,
        placements=placements,
        attacks=tuple(tallies),
        labels_broken=findings.broken("label"),
        certificates_broken=findings.broken("certificate"),
        breaks=tuple(map(str, finished.files)),
        seconds=finished.seconds,
        mutants_evaluated=finished.labelled,
    )
    return result, result.write(settings.run.folder / CERTIFICATES)


def audit_numerics(settings: NumericsSettings) -> NumericsResult:
    """Compare the logits of the same mutants by several methods of computation; write the differences and a margin.

    Raises:
        ConfigurationError: for settings that cannot work.
        CheckpointError: for a missing, damaged or unsuitable checkpoint.
        DataError: for missing images.
        NumericalError: for logits that are not finite.
    """
    with opened(settings.run, leaves=NUMERICS):
        return _audit_numerics(settings)


def _audit_numerics(settings: NumericsSettings) -> NumericsResult:
    run = settings.run
    device = device_named(settings.device)
    subject = load_subject(settings)
    mutants = defender_of(settings.defender, settings.patches).mutants(subject.model, subject.patch, subject.stride)
    data = settings.dataset.load(subject.model.image_px, run.seed)
    split = data.split("test")
    announce_run(data, {"test": len(split)}, subject.name, mutants, str(device), "several precisions", run.folder)
    images = torch.stack([split[i].image for i in range(len(split))])
    model = subject.model.to(device)
    announce_numerics(model, mutants, len(images), settings.mutants, device)
    spread = LogitSpread(model, mutants, images.to(device), settings.mutants, run.seed)
    comparisons = list(spread.methods().values())
    spreads = [compare() for compare in run.track(comparisons, "Comparing", len(comparisons))]
    deltas = {precision: spread.delta(precision) for precision in dict.fromkeys(s.precision for s in spreads)}
    gpus = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    environment = Environment.here(" and ".join(["cpu", *gpus]), ", ".join(deltas))
    result = NumericsResult(
        **document_facts(settings, subject, environment),
        images=len(images),
        mutants=spreads[0].mutants,
        spreads=tuple(LogitDifference(s.method, s.precision, s.delta, s.flips, s.mutants) for s in spreads),
        delta=deltas,
        margin={precision: _rounded_up(2 * delta) for precision, delta in deltas.items()},
    )
    result.write(run.folder / NUMERICS)
    return result


def _exemplars(split: ImageSplit, number: int) -> Tensor:
    """Return the first image of each of the first ``number`` classes, ``[image, 3, height, width]``."""
    first: dict[int, int] = {}
    for position, record in enumerate(split.records):
        first.setdefault(record.label, position)
    images = [split[position].image for position in list(first.values())[:number]]
    return torch.stack(images) if images else torch.empty(0, 3, 1, 1)


def _rounded_up(margin: float) -> float:
    """Return a margin with two significant digits, rounded up."""
    if margin == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(margin)) - 1)
    return float(f"{math.ceil(margin / unit) * unit:.1e}")


def check_attacked(result: CertificateAuditResult) -> None:
    """Check that the audit attacked at least one image.

    Raises:
        ConfigurationError: if none of the images is certified.
    """
    if not result.certified:
        raise ConfigurationError(
            f"none of the {result.images} images is certified, so nothing was attacked; give more with images="
        )


__all__ = ["CertificateAuditSettings", "NumericsSettings", "audit_certificates", "audit_numerics"]
