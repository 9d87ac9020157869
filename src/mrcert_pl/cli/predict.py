"""``mrcert predict``: verdicts on own images."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command, completed
from mrcert_pl.errors import ConfigurationError, DataError

# Exit code if a file could not be read.
_SOME_UNREADABLE = 3
_MOST_ERRORS = 10


@command("predict")
def main(cfg: DictConfig) -> None:
    """Label every image; write ``verdicts.jsonl``, ``verdicts.csv`` and figures."""
    if cfg.images in (None, ""):
        raise ConfigurationError("give images=FOLDER, a file, a pattern ('photos/*.jpg') or - for a list")
    from PIL.Image import DecompressionBombWarning

    from mrcert_pl.cli.record import write_config
    from mrcert_pl.cli.task_settings import prediction_settings
    from mrcert_pl.data.image_paths import find_images, listed_images
    from mrcert_pl.results.predictions import Prediction, PredictionFiles
    from mrcert_pl.tasks.predict import announce_prediction, guard_of, predict
    from mrcert_pl.views.predictions import draw_prediction, show_predictions
    from mrcert_pl.views.words import printable

    if cfg.examples != "all" and (type(cfg.examples) is not int or cfg.examples < 0):
        raise ConfigurationError(f"examples must be a number of images to draw or all, got {cfg.examples!r}")
    files, skipped = listed_images(sys.stdin) if cfg.images == "-" else find_images(_requested(cfg))
    if not any(file.exists() for file in files):
        raise DataError(f"there is no file or folder {files[0]} in {Path.cwd()}")
    if skipped:
        number = "1 file" if len(skipped) == 1 else f"{len(skipped)} files"
        more = ", ..." if len(skipped) > 1 else ""
        print(f"{number} without the suffix of an image skipped: {printable(str(skipped[0]))}{more}")
    # The user chooses the size of own images.
    warnings.filterwarnings("ignore", category=DecompressionBombWarning)
    cfg = completed(cfg)
    settings = prediction_settings(cfg, files)
    guard = guard_of(settings)
    folder = write_config(cfg)
    announce_prediction(settings, guard, folder)
    left = len(files) if cfg.examples == "all" else cfg.examples
    rows: list[Prediction] = []
    with PredictionFiles(folder) as written:
        try:
            for file, outcome in predict(settings, guard):
                rows.append(Prediction.of(file, outcome))
                written.add(rows[-1])
                if left and rows[-1].verdict is not None:
                    left -= 1
                    drawing = folder / "examples" / f"{len(rows) - 1:04d}_{file.stem}.png"
                    draw_prediction(drawing, guard.prepare(file), rows[-1])
        except KeyboardInterrupt:
            print(f"\n{len(rows)} of {len(files)} images are finished: {written.table}", file=sys.stderr)
            raise
    show_predictions(rows, guard.legend())
    print(f"{written.lines}\n{written.table}")
    if (folder / "examples").exists():
        print(folder / "examples")
    _report_unreadable([row.error for row in rows if row.error is not None], str(written.table))


def _requested(cfg: DictConfig) -> list[str]:
    """Return the files, folders and patterns named by ``images``."""
    return [str(image) for image in cfg.images] if OmegaConf.is_list(cfg.images) else [str(cfg.images)]


def _report_unreadable(errors: Sequence[str], table: str) -> None:
    from mrcert_pl.views.words import printable

    for error in errors[:_MOST_ERRORS]:
        print(f"error: {printable(error)}", file=sys.stderr)
    if len(errors) > _MOST_ERRORS:
        print(f"error: {len(errors) - _MOST_ERRORS} more; {table} has all of them", file=sys.stderr)
    if errors:
        sys.exit(_SOME_UNREADABLE)


if __name__ == "__main__":
    main()
