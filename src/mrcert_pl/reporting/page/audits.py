"""What other commands have left beside the evaluations: attacks, audits, benchmarks."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrcert_pl.errors import ResultsError
from mrcert_pl.reporting.page.accuracy import share_cell
from mrcert_pl.reporting.page.parts import Section, Share, Table
from mrcert_pl.reporting.page.svg import Picture, data_uri
from mrcert_pl.reporting.results import read_results
from mrcert_pl.reporting.summary import patch_text


def attack_section(paths: Sequence[Path]) -> Section | None:
    """What attacks did to base models."""
    results = {file: read_results(file) for file in _files(paths, "results.json")}
    attacks = {file: result for file, result in results.items() if "base_after" in result["accuracy"]}
    if not attacks:
        return None
    rows: list[list[Any]] = []
    for file, attack in attacks.items():
        with _explained(file, "mrcert attack"):
            rows.append(
                [
                    f"{attack['dataset']}, {attack['model']}, {patch_text(attack['patch'])}",
                    attack["attack"]["attack"],
                    *(share_cell(attack["accuracy"][name]) for name in ("base_before", "base_after")),
                    str(attack["successes"]),
                ]
            )
    table = Table(
        "Accuracy of the base model in %, number of images and 95 % interval (Wilson)",
        ["attacked", "attack", "before", "after", "successes"],
        rows,
    )
    sheets = [
        Picture(
            data_uri(sheet.read_bytes(), "image/png"),
            "Images before an attack, and below each the same image with the patch.",
            f"{row[0]}: before the attack, and with the patch below",
        )
        for file, row in zip(attacks, rows, strict=True)
        if (sheet := file.with_name("contact_sheet.png")).exists()
    ]
    return Section("Attacks on the base model", tables=[table], pictures=sheets, size="own")


def certificate_section(paths: Sequence[Path]) -> Section | None:
    """What attacks on certificates have tried and broken."""
    audits = {file: _read(file) for file in _files(paths, "certificates.json")}
    if not audits:
        return None
    rows: list[list[str | Share]] = []
    for file, audit in audits.items():
        with _explained(file, "mrcert audit certificates"):
            config, tried = audit["config"], audit["attacks"]
            rows.append(
                [
                    f"{audit['defender']}, {config['dataset']['name']}, {patch_text(config['patch'])}",
                    f"{audit['certified']} of {audit['images']}",
                    str(audit["placements"]),
                    Share(f"{sum(tried.values()):,}", [f"{number:,} {kind}" for kind, number in tried.items()]),
                    str(audit["labels_broken"]),
                    str(audit["certificates_broken"]),
                ]
            )
    header = ["audited", "certified images", "places", "patches tried", "labels broken", "certificates broken"]
    text = ["Certified images, attacked at every place of a grid. Anything but 0 broken is a defect."]
    return Section("Attacks on certificates", text, [Table("What was tried, and what broke", header, rows)])


def numerics_section(paths: Sequence[Path]) -> Section | None:
    """How far logits move between runs, and the margins that follow."""
    tables = []
    for file in _files(paths, "numerics.json"):
        content = _read(file)
        with _explained(file, "mrcert audit numerics"):
            name = f"{content['config']['model']['name']}, weights {content['weights_sha256'][:6]}"
            spreads = [[s["way"], f"{s['delta']:.1e}", str(s["flips"])] for s in content["spreads"]]
            caption = f"{name}: logits of {content['mutants']} mutants against each computed alone"
            tables.append(Table(caption, ["computed otherwise", "largest difference", "other labels"], spreads))
            margins = [[precision, f"{margin:.1e}"] for precision, margin in content["margin"].items()]
            caption = f"{name}: margins that no such difference can break"
            tables.append(Table(caption, ["precision", "margin"], margins))
    return Section("Rounding", tables=tables) if tables else None


def benchmark_section(paths: Sequence[Path]) -> Section | None:
    """Every ``bench.json``: a list of rows, or an object that has one as ``rows``, in the columns that it has."""
    tables = []
    for file in _files(paths, "bench.json"):
        content = _read(file)
        rows = content.get("rows") if isinstance(content, Mapping) else content
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ResultsError(f"{file} has no list of rows; remove it or run its benchmark again")
        header = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_number(row.get(name, "")) for name in header] for row in rows]
        tables.append(Table(f"Measured in {file.parent.name or file}", [h.replace("_", " ") for h in header], cells))
    return Section("Benchmark", tables=tables) if tables else None


def _files(paths: Sequence[Path], name: str) -> list[Path]:
    """The files of this name at or below some paths, oldest first."""
    found = {file for path in paths for file in ([path] if path.name == name else path.rglob(name))}
    return sorted(found, key=lambda file: (file.stat().st_mtime, str(file)))


@contextmanager
def _explained(file: Path, command: str) -> Iterator[None]:
    """Make what is missing from a file an error that names it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ResultsError(f"{file} is not what {command} writes ({error!r}); remove it or run that again") from error


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ResultsError(f"{file} is damaged ({error}); remove it or run its command again") from error


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
