"""``mrcert predict``: verdicts on pictures of one's own."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command
from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from mrcert_pl.guard import Guard, GuardVerdict

# Beside 0, and the 1 of a command that could not do its work.
_SOME_UNREADABLE = 3
_MOST_ERRORS = 10
_LEGEND = "hidden: windows that had to be, where a patch may already be; safe: places where one more has no effect"


@command("predict")
def main(cfg: DictConfig) -> None:
    """Give every picture a verdict; leave ``verdicts.jsonl``, ``verdicts.csv`` and pictures."""
    from hydra.core.hydra_config import HydraConfig
    from PIL.Image import DecompressionBombWarning
    from rich.console import Console
    from rich.progress import track

    from mrcert_pl.cli.build import open_run
    from mrcert_pl.cli.guarded import guard_settings
    from mrcert_pl.data.image_paths import find_images
    from mrcert_pl.guard import Guard, GuardVerdict
    from mrcert_pl.reporting.predictions import PredictionFiles, predictions_table, summary_of

    if cfg.pictures != "all" and not isinstance(cfg.pictures, int):
        raise ConfigurationError(f"pictures is a number of images to draw or all, not {cfg.pictures!r}")
    files, skipped = find_images(_places(cfg))
    if skipped:
        print(f"{len(skipped)} file(s) without the suffix of an image are skipped: {skipped[0]}, ...", file=sys.stderr)
    # Their size is the user's own choice.
    warnings.filterwarnings("ignore", category=DecompressionBombWarning)
    guard = Guard.from_checkpoint(**guard_settings(cfg))
    guard.defender.with_output(cfg.output)
    run_dir = open_run(cfg, Path(HydraConfig.get().runtime.output_dir))
    rows: list[dict[str, Any]] = []
    drawn = 0
    with PredictionFiles(run_dir, [*GuardVerdict.columns(), "error"]) as written:
        outcomes = track(guard.each(files, cfg.output), "Predicting", total=len(files), transient=True)
        for file, outcome in zip(files, outcomes, strict=True):
            if isinstance(outcome, GuardVerdict):
                row = outcome.to_json()
                if cfg.pictures == "all" or drawn < cfg.pictures:
                    drawn += 1
                    _draw(run_dir / "pictures" / f"{len(rows):04d}_{file.stem}.png", guard, file, outcome)
            else:
                row = {"image": str(file), "error": str(outcome)}
            rows.append(row)
            written.add(row)
    console = Console()
    console.print(predictions_table(rows))
    console.print(summary_of(rows), style="bold", highlight=False)
    if any(row.get("certified_patches") is not None for row in rows):
        for line in (guard.legend(), _LEGEND):
            console.print(line, style="dim", highlight=False, markup=False)
    print(f"{written.lines}\n{written.table}" + (f"\n{run_dir / 'pictures'}" if drawn else ""))
    if unreadable := [row["error"] for row in rows if "error" in row]:
        for error in unreadable[:_MOST_ERRORS]:
            print(f"error: {error}", file=sys.stderr)
        if (more := len(unreadable) - _MOST_ERRORS) > 0:
            print(f"error: {more} more; {written.table} has all of them", file=sys.stderr)
        sys.exit(_SOME_UNREADABLE)


def _places(cfg: DictConfig) -> list[str]:
    """What ``images`` names; with ``-`` it is one place a line on standard input."""
    if cfg.images is None:
        raise ConfigurationError("which images? give images=FOLDER, a file, a pattern ('photos/*.jpg') or - for a list")
    if cfg.images == "-":
        return [line.strip() for line in sys.stdin if line.strip()]
    return [str(place) for place in cfg.images] if OmegaConf.is_list(cfg.images) else [str(cfg.images)]


def _draw(path: Path, guard: "Guard", file: Path, verdict: "GuardVerdict") -> None:
    """The image as the model sees it, with what its witness has hidden and where a further patch has no effect."""
    import numpy as np

    from mrcert_pl.reporting.pictures import verdict_picture

    image = guard.prepare(file).permute(1, 2, 0).numpy()
    hidden = np.zeros(image.shape[:2], dtype=bool)
    for top, left, bottom, right in verdict.witness_px or ():
        hidden[top:bottom, left:right] = True
    title = f"{verdict.decision or 'label'}: {verdict.name}"
    if verdict.certified_patches is not None:
        title += f" (further patches that can't change it: {max(verdict.certified_patches, 0)})"
    verdict_picture(path, image, title, hidden if hidden.any() else None, [each.numpy() for each in verdict.maps])


if __name__ == "__main__":
    main()
