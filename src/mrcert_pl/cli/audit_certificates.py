"""``mrcert audit certificates``: attacks on what a defender has promised."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor

    from mrcert_pl.attacks.certificate_audit import Findings
    from mrcert_pl.data import ImageSplit


@command("audit_certificates")
def main(cfg: DictConfig) -> None:
    """Attack certified images at every place of a grid; leave ``certificates.json``, and a file for every break."""
    import torch
    from hydra.utils import instantiate
    from rich.progress import track

    from mrcert_pl.attacks import AdaptivePatch, CheapPatches, placement_grid
    from mrcert_pl.attacks.certificate_audit import CertificateAudit
    from mrcert_pl.cli.attacked import adopt
    from mrcert_pl.cli.build import (
        build_data,
        build_loggers,
        build_model,
        command_line,
        patch_of,
        pick_device,
        start,
    )
    from mrcert_pl.cli.recording import record_audit
    from mrcert_pl.files import write_json
    from mrcert_pl.models.checkpoints import read_checkpoint, restore, weights_digest
    from mrcert_pl.reporting import environment

    adopt(cfg)
    run_dir = start(cfg)
    device = pick_device(cfg.device)
    defender = instantiate(cfg.defender, _convert_="all")
    model = build_model(cfg, start=False)
    lattice = defender.mutants(model, patch_of(cfg), cfg.stride)
    placements = placement_grid(patch_of(cfg), model.image_px, cfg.step_px)
    cfg.dataset.limit = cfg.images
    data = build_data(cfg, model.image_px, batch_size=cfg.batch_size, seed=cfg.seed)
    restore(model, read_checkpoint(cfg.checkpoint, made_by=command_line(cfg, "train.py")))
    model.eval().requires_grad_(False).to(device)
    split = data.split("test")
    attacks = [
        AdaptivePatch(lattice.hidden, seed=cfg.seed, **cfg.adaptive),
        CheapPatches(_exemplars(split, cfg.exemplars), cfg.seed),
    ]
    audit = CertificateAudit(model, lattice, defender, placements, attacks, cfg.token_budget)
    loggers = build_loggers(cfg)
    started = time.perf_counter()
    with torch.no_grad():
        for i in track(range(len(split)), "Attacking certificates", transient=True):
            sample = split[i]
            audit.image(sample.image.to(device), sample.id)

    seconds = time.perf_counter() - started
    findings = audit.findings
    files = [
        found.write(run_dir / "breaks" / f"{found.key}_{number}.npz") for number, found in enumerate(findings.breaks)
    ]
    content = {
        "images": findings.images,
        "certified": findings.certified,
        "round_trip": findings.round_trip,
        "placements": len(placements),
        "attacks": dict(findings.attacks),
        "labels_broken": findings.broken("label"),
        "certificates_broken": findings.broken("certificate"),
        "breaks": [str(file) for file in files],
        "defender": defender.name,
        "weights_sha256": weights_digest(model),
        "seed": cfg.seed,
        "environment": environment(device, "32-true"),
        "config": OmegaConf.to_container(cfg, resolve=True),
    }
    file = write_json(run_dir / "certificates.json", content)
    _show(defender.name, len(placements), findings)
    print(file)
    numbers = {
        "certified": findings.certified / findings.images,
        "round_trip": findings.round_trip / findings.images,
        "labels_broken": findings.broken("label"),
        "certificates_broken": findings.broken("certificate"),
        "patched_images_per_second": sum(findings.attacks.values()) / seconds,
        "mutants_per_second": audit.evaluator.labelled / seconds,
    }
    record_audit(loggers, cfg, data, numbers, _COLUMNS, _rows(findings))
    if not findings.certified:
        raise ConfigurationError(
            f"none of the {findings.images} images is certified, so nothing was attacked; give more with images="
        )
    if files:
        _fail(files)


_COLUMNS = ("patch", "tried", "labels broken", "certificates broken")


def _rows(findings: "Findings") -> list[tuple[str, int, int, int]]:
    """What came of each kind of patch, in the order of ``_COLUMNS``."""
    return [
        (name, tried, findings.broken("label", name), findings.broken("certificate", name))
        for name, tried in findings.attacks.items()
    ]


def _exemplars(split: "ImageSplit", number: int) -> "Tensor":
    """``[picture, 3, height, width]``: the first pictures of so many classes."""
    import torch

    first: dict[int, int] = {}
    for position, record in enumerate(split.records):
        first.setdefault(record.label, position)
    pictures = [split[position].image for position in list(first.values())[:number]]
    return torch.stack(pictures) if pictures else torch.empty(0, 3, 1, 1)


def _show(defender: str, placements: int, findings: "Findings") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{defender}: {findings.certified} certified of {findings.images} images ({findings.round_trip} with a round "
        f"trip), patches at {placements} places",
        highlight=False,
        style="bold",
    )
    table = Table(_COLUMNS[0], box=SIMPLE_HEAD)
    for heading in _COLUMNS[1:]:
        table.add_column(heading, justify="right")
    for name, *numbers in _rows(findings):
        table.add_row(name, *(f"{number:,}" for number in numbers))
    console.print(table)


def _fail(files: list[Path]) -> NoReturn:
    print(
        f"error: {len(files)} patches break what was certified; each is written with its image and labels, the first "
        f"one to {files[0]}. Unless a margin near zero tells of rounding (mrcert audit numerics), a rule, a mask or a "
        "model does not do what its theorem says",
        file=sys.stderr,
    )
    sys.exit(1)


if __name__ == "__main__":
    main()
