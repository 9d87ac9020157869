"""Ablations of the training recipe: one change at a time, token grid, 32 px, stride 4, on validation images.

    python -m benchmarks.levers --list
    python -m benchmarks.levers --root data --weights deit_tiny_patch16_224.safetensors --at-once 8

Every training is a command of ``mrcert train`` that certifies all 475 validation images with MRCert after its last
epoch; no test image is used. A finished training is skipped. The table goes to ``levers.md`` in the folder of the runs.
"""

import csv
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.options import jobs_parser
from benchmarks.protocol import IMAGENETTE_ROWS, Job
from benchmarks.results import is_done, run
from mrcert_pl.cli.overrides import override
from mrcert_pl.files import write_whole
from mrcert_pl.results.runs import TRAINING

# Validation images of ImageNette.
_VALIDATION = 475
_SUBJECT = ("dataset=imagenette", "dataset.resize=whole", "model.backbone=deit_tiny_patch16_224.fb_in1k", "patch=32")
_RECIPE = (
    "recipe=short",
    "recipe.batch_size=128",
    "recipe.finetuning.optimizer.lr=2e-4",
    "trainer.precision=bf16-mixed",
    f"callbacks.mutant_predictions.images={_VALIDATION}",
    IMAGENETTE_ROWS,
)
_METRICS = {
    "base": "val/base_accuracy",
    "certified": "val/certified_accuracy",
    "round trip": "val/round_trip_accuracy",
}


@dataclass(frozen=True)
class Lever:
    """One change of the training.

    Attributes:
        name: Name of the runs.
        overrides: Changed settings.
        epochs: Number of epochs.
        seeds: Number of seeds.
        model: Base model.
    """

    name: str
    overrides: tuple[str, ...] = ()
    epochs: int = 6
    seeds: int = 1
    model: str = "masked_vit"


_DISTILLATION = "recipe.finetuning.distillation={weight: 0.7, temperature: 2.0}"
_HEAVIEST = ("recipe.mask_draws=distinct", "recipe.mask_heaviest=0.7")
_STRONG = (
    "recipe.augmentation.scale=[0.2,1.0]",
    "recipe.augmentation.auto_augment=rand-m9-mstd0.5-inc1",
    "recipe.finetuning.mixup={mixup_alpha: 0.8, cutmix_alpha: 1.0, switch_prob: 0.5}",
)

LEVERS = (
    Lever("none", seeds=3),
    Lever("distillation", (_DISTILLATION,), seeds=3),
    Lever("heaviest", _HEAVIEST, seeds=3),
    Lever("none_30", epochs=30),
    Lever("distillation_heaviest", (_DISTILLATION, *_HEAVIEST), seeds=3),
    Lever("none_12", epochs=12),
    Lever("none_3", epochs=3),
    Lever("none_1", epochs=1),
    Lever("distillation_heaviest_30", (_DISTILLATION, *_HEAVIEST), epochs=30),
    Lever("strong_30", _STRONG, epochs=30),
    Lever("average", ("callbacks=ema", "callbacks.ema.decay=0.99")),
    Lever("lr_4e-4", ("recipe.finetuning.optimizer.lr=4e-4",)),
    Lever("lr_1e-4", ("recipe.finetuning.optimizer.lr=1e-4",)),
    Lever("strides_4_2", ("recipe.mask_strides=[4,2]",)),
    Lever("vit_srf", ("recipe.finetuning.optimizer.lr=4e-4",), model="vit_srf"),
    Lever("vit_srf_30", ("recipe.finetuning.optimizer.lr=4e-4",), epochs=30, model="vit_srf"),
)


def lever_jobs(
    out: Path, root: Path | None, weights: Path | None, more: Sequence[str] = (), levers: Sequence[Lever] = LEVERS
) -> list[Job]:
    """Return the trainings.

    Args:
        out: Folder of the runs.
        root: Folder that holds ``imagenette``.
        weights: File of DeiT-Ti's weights.
        more: Further settings of all trainings.
        levers: Changes.
    """
    return [
        Job(
            _name(lever, seed),
            "train",
            (
                *_SUBJECT,
                override("model", lever.model),
                *_RECIPE,
                override("recipe.epochs", lever.epochs),
                override("trainer.check_val_every_n_epoch", lever.epochs),
                *lever.overrides,
                *more,
                *(() if root is None else (override("dataset.root", str(root.absolute() / "imagenette")),)),
                *(() if weights is None else (override("model.weights", str(weights.absolute())),)),
                override("seed", seed),
                override("checkpoint", str(out / "levers" / lever.name / f"seed{seed}" / "best.ckpt")),
            ),
            TRAINING,
        )
        for lever in levers
        for seed in range(lever.seeds)
    ]


def _name(lever: Lever, seed: int) -> str:
    return f"levers/{lever.name}/seed{seed}/train"


def accuracies(folder: Path) -> dict[str, float] | None:
    """Return the accuracies of a training's last validation, by name; ``None`` before its end."""
    found = None
    for file in sorted(folder.rglob("metrics.csv")):
        with file.open(newline="") as opened:
            for row in csv.DictReader(opened):
                if row.get(_METRICS["round trip"]):
                    found = {name: float(row[metric]) for name, metric in _METRICS.items()}
    return found


def table(out: Path, levers: Sequence[Lever] = LEVERS) -> str:
    """Return the table of all finished changes: numbers of validation images, mean and deviation over seeds."""
    return "\n".join(
        [
            "| change | epochs | seeds | base | certified | round trip |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *_rows(out, levers),
            "",
        ]
    )


def _rows(out: Path, levers: Sequence[Lever]) -> Iterator[str]:
    for lever in levers:
        folders = [out / _name(lever, seed) for seed in range(lever.seeds)]
        found = [values for folder in folders if (values := accuracies(folder))]
        if found:
            figures = [_figure([_VALIDATION * values[name] for values in found]) for name in _METRICS]
            yield f"| {lever.name} | {lever.epochs} | {len(found)} | {' | '.join(figures)} |"


def _figure(counts: Sequence[float]) -> str:
    if len(counts) == 1:
        return f"{counts[0]:.0f}"
    return f"{statistics.mean(counts):.1f}, {statistics.stdev(counts):.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = jobs_parser("benchmarks.levers", __doc__, "trainings", "imagenette/").parse_args(arguments)
    out: Path = options.out.absolute()
    planned = [job for job in lever_jobs(out, options.root, options.weights) if fnmatch(job.name, options.only)]
    if options.list:
        print("\n".join(f"{'done' if is_done(job, out) else 'missing':8}{job.name}" for job in planned))
        return
    failed = run(planned, out, options.at_once)
    text = table(out)
    print(text, write_whole(out / "levers.md", lambda file: file.write_text(text, encoding="utf-8"), "--out"), sep="\n")
    if failed:
        sys.exit(f"error: {len(failed)} trainings are not finished, the first is {failed[0]}")


if __name__ == "__main__":
    main()
