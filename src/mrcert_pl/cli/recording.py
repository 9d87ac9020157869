"""What each command shows of itself in W&B, if it was asked to."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mrcert_pl.cli.build import description_of
from mrcert_pl.cli.examples import attack_examples, verdict_examples
from mrcert_pl.cli.image_tables import show_attacked, show_verdicts
from mrcert_pl.dashboard import (
    Board,
    Piece,
    attacked_piece,
    checkpoint_piece,
    dataset_piece,
    figures,
    outcome_piece,
    tables_piece,
)
from mrcert_pl.errors import DataError
from mrcert_pl.models.checkpoints import read_checkpoint, restore, weights_digest

if TYPE_CHECKING:
    from mrcert_pl.data import ImageDataModule
    from mrcert_pl.data.attacked import AttackedImages

# Images in a table of W&B: as many as one looks at.
_EXAMPLES = 32


def record_training(
    loggers: Iterable[Any], cfg: DictConfig, data: "ImageDataModule", model: Any, best: Any = None
) -> None:
    """Show the best checkpoint of a training, and what it was made from.

    Args:
        loggers: those of the run.
        cfg: its configuration.
        data: what it trained on.
        model: takes the weights of the best checkpoint.
        best: Lightning's callback that has chosen it.
    """
    if not (board := Board.of(loggers)):
        return
    records = [record for split in ("train", "val") for record in data.split(split).records]
    board.uses(dataset_piece(data.description.name, "train-val", records))
    if cfg.stage == "split":
        board.uses(_checkpoint(cfg.srf_checkpoint))
    if best and best.best_model_path:
        restore(model, read_checkpoint(best.best_model_path))
        board.numbers({best.monitor.replace("val/", "best/"): float(best.best_model_score)})
        board.makes(_checkpoint(best.best_model_path, weights_digest(model)))
    board.makes(outcome_piece(Path(cfg.paths.run_dir), _name(cfg), {}))


def record_evaluation(
    loggers: Iterable[Any], cfg: DictConfig, data: "ImageDataModule", model: Any, lattice: Any, tables: Path
) -> None:
    """Show accuracies, Cases, places and some images of an evaluation, and what it was made from.

    Args:
        loggers: those of the run.
        cfg: its configuration; ``results.json``, verdicts and maps are in the run's folder.
        data: the images.
        model: the base model; only its geometry is read.
        lattice: the mutants.
        tables: folder of their labels.
    """
    if not (board := Board.of(loggers)):
        return
    from mrcert_pl.reporting import read_results, read_verdicts
    from mrcert_pl.reporting.locations import read_locations

    run_dir = Path(cfg.paths.run_dir)
    result, rows = read_results(run_dir / "results.json"), read_verdicts(run_dir / "verdicts.parquet")
    shares = figures.shares(result)
    board.numbers({"test/mutants_per_image": result["mutants_per_image"]})
    if cfg.table is not None:
        board.numbers({**{f"test/{name}": share for name, share in shares.items()}, "test/n": result["n"]})
    board.table("evaluation/result", figures.RESULT_COLUMNS, [figures.result_row(result)])
    board.bars("evaluation/accuracy", "Accuracy", ("accuracy", "share"), shares.items())
    columns = ("case", "certified", "images", "right", "right and certified", "right and round trip")
    board.bars("evaluation/cases", "Share certified by Case", columns, figures.by_case(rows))
    if (maps := run_dir / "locations.npz").exists():
        places = read_locations(maps)
        lines = figures.by_place(places.counts[0] / places.n)
        board.lines("evaluation/places", "Share of images that a patch can't change", "its top left pixel", lines)
    try:
        show_verdicts(board, verdict_examples(cfg, rows, _EXAMPLES, data, model, lattice), description_of(cfg).classes)
    except DataError as error:
        # Stored tables are enough for verdicts.
        print(f"no images for W&B: {error}")

    labels = tables_piece(tables, _subject(cfg), result["weights_sha256"])
    if cfg.table is not None:
        board.uses(labels)
    else:
        board.uses(_images(cfg, data), _checkpoint(cfg.checkpoint, result["weights_sha256"]))
        board.makes(labels)
    board.makes(outcome_piece(run_dir, f"{_name(cfg)}-{result['defender']}", shares))


def record_attack(loggers: Iterable[Any], cfg: DictConfig, data: "ImageDataModule", attacked: "AttackedImages") -> None:
    """Show what an attack has done to the base model and to some images, and what it was made from.

    Args:
        loggers: those of the run.
        cfg: its configuration; ``results.json`` is in the run's folder.
        data: the images before.
        attacked: the images after it.
    """
    if not (board := Board.of(loggers)):
        return
    from mrcert_pl.data.attacked_header import read_header
    from mrcert_pl.reporting import read_results

    run_dir, classes = Path(cfg.paths.run_dir), data.description.classes
    result = read_results(run_dir / "results.json")
    shares = figures.shares(result)
    board.numbers({f"attack/{name}": share for name, share in shares.items()})
    board.numbers({"attack/n": result["n"], "attack/success": result["successes"] / result["n"]})
    board.bars("attack/accuracy", "Base accuracy before and after the attack", ("accuracy", "share"), shares.items())
    show_attacked(board, attack_examples(attacked, data, _EXAMPLES), classes)
    board.uses(_images(cfg, data), _checkpoint(cfg.checkpoint, result["weights_sha256"]))
    board.makes(attacked_piece(attacked.folder, read_header(attacked.folder)))
    board.makes(outcome_piece(run_dir, _name(cfg), shares))


def record_audit(
    loggers: Iterable[Any],
    cfg: DictConfig,
    data: "ImageDataModule",
    numbers: Mapping[str, float],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Show what an audit has found, and what it was made from.

    Args:
        loggers: those of the run.
        cfg: its configuration; ``numerics.json`` or ``certificates.json`` is in the run's folder.
        data: the images.
        numbers: its figures; ``weights_sha256`` of the audited weights is no number and comes from the file.
        columns: of its table.
        rows: the table that the command shows.
    """
    if not (board := Board.of(loggers)):
        return
    run_dir = Path(cfg.paths.run_dir)
    (file,) = run_dir.glob("*.json")
    board.numbers({f"audit/{name}": number for name, number in numbers.items()})
    board.bars(f"audit/{file.stem}", f"Audit of {file.stem}", columns, rows)
    board.uses(_images(cfg, data), _checkpoint(cfg.checkpoint, json.loads(file.read_text())["weights_sha256"]))
    board.makes(outcome_piece(run_dir, _name(cfg), numbers))


def _subject(cfg: DictConfig) -> str:
    return f"{cfg.dataset.name}-{cfg.model.name}-p{cfg.patch}"


def _name(cfg: DictConfig) -> str:
    return f"{cfg.paths.command}-{_subject(cfg)}"


def _checkpoint(path: str | Path, weights_sha256: str | None = None) -> Piece:
    return checkpoint_piece(Path(path), read_checkpoint(path).origin, weights_sha256)


def _images(cfg: DictConfig, data: "ImageDataModule") -> Piece:
    """The images that a command tests on: of a data set, or an attacked set."""
    from mrcert_pl.data.attacked_header import read_header

    if cfg.dataset.name == "attacked":
        folder = Path(cfg.dataset.path)
        return attacked_piece(folder, read_header(folder))
    return dataset_piece(data.description.name, "test", data.split("test").records)
