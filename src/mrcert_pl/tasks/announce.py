"""Header of a run: subject, device, folder and estimated cost."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from mrcert_pl.attacks import AdaptivePatch, GradientAttack, PatchAttack, Placement, placement_grid
from mrcert_pl.attacks.gradient import Start
from mrcert_pl.attacks.logit_spread import METHODS
from mrcert_pl.data import ImageDataModule
from mrcert_pl.models.protocols import BaseModel
from mrcert_pl.mutants import MutantSet
from mrcert_pl.mutants.stopwatch import Stopwatch, timed
from mrcert_pl.tasks.runtime import log

# Evaluations with fewer mutants, and in less time in seconds, start without an estimate.
_FEW, _SHORT = 2_000, 10
# Attacks with fewer gradient steps start without an estimate, and the time for which steps are timed in seconds.
_FEW_STEPS, _TIMED = 100, 0.5
# Trainings in seconds: shorter ones start without an estimate, longer ones with advice.
_LONG_TRAINING, _TOO_LONG_TRAINING = 60, 3600


def announce_run(
    data: ImageDataModule,
    images: Mapping[str, int],
    model: str,
    mutants: MutantSet | None,
    device: str,
    precision: str,
    folder: Path,
) -> None:
    """Log data set, numbers of images, model, mutants, device, precision and folder, and automatic choices.

    Args:
        data: images.
        images: numbers of images by split.
        model: kind of the model.
        mutants: mutants of each image; ``None`` where they are not evaluated.
        device: number and kind of devices.
        precision: precision of the arithmetic.
        folder: folder of the run.
    """
    counts = ", ".join(f"{count:,} {split}" for split, count in images.items())
    about = [f"{data.description.name}: {counts} images", *described(model, mutants)]
    announce(about, device, precision, folder)
    for note in data.notes():
        log.info("%s", note)


def announce(about: Sequence[str], device: str, precision: str, folder: Path) -> None:
    """Log the subject of a run, its device, precision and folder."""
    log.info("%s\n%s, %s, in %s", "; ".join(about), device, precision, folder)


def described(model: str, mutants: MutantSet | None) -> list[str]:
    """Describe a model and its mutants."""
    if mutants is None:
        return [model]
    return [model, ", ".join(f"{name} {value}" for name, value in mutants.summary().items())]


def announce_cost(
    model: BaseModel,
    mutants: MutantSet,
    images: int,
    token_budget: int | None,
    device: torch.device,
    processes: int = 1,
) -> None:
    """Log the cost of a long evaluation: the largest number of mutants, and the time measured on this device.

    Args:
        model: base model.
        mutants: mutants of an image.
        images: number of images without stored mutants.
        token_budget: token budget per batch; default: derived from free device memory.
        device: device of the evaluation.
        processes: number of processes.
    """
    if images * len(mutants) < _FEW:
        return
    model.to(device)
    # An image without masks and without others in its batch costs more than a mutant.
    if images * len(mutants) * _forward_seconds(model, device) < _SHORT * processes:
        return
    watch = Stopwatch(model, model.image_px, mutants.hidden, device, token_budget)
    seconds = images * (watch.encoding + float(watch.seconds(mutants.hidden).sum())) / processes
    log.info("%s images x at most %s mutants: up to about %s", f"{images:,}", f"{len(mutants):,}", duration(seconds))


def announce_training(model: BaseModel, images: int, batch_size: int, epochs: int, trainer: L.Trainer) -> None:
    """Log the duration of a training on a CPU, and for a long one smaller settings.

    One forward pass of an unmasked image is timed; a training step costs about three. The random numbers of the
    training are the same.

    Args:
        model: base model.
        images: number of training images; ``limit_train_batches`` of the trainer may take fewer.
        batch_size: images per batch and process.
        epochs: number of epochs.
        trainer: device and number of processes.
    """
    device = trainer.strategy.root_device
    if device.type != "cpu" or not trainer.is_global_zero:
        return
    limit = trainer.limit_train_batches
    taken = limit * batch_size * trainer.world_size if isinstance(limit, int) else int(limit * images)
    images = min(images, taken)
    seconds = _forward_seconds(model, device) * 3 * images * epochs / trainer.world_size
    if seconds < _LONG_TRAINING:
        return
    log.info("%s images x %s epochs on a CPU: about %s", f"{images:,}", epochs, duration(seconds))
    if seconds > _TOO_LONG_TRAINING:
        log.info(
            "a smaller training: recipe=short model.backbone=deit_tiny_patch16_224.fb_in1k, "
            "fewer images (dataset.limit=) or a GPU (trainer=gpu)"
        )


def announce_attack(
    model: BaseModel, attack: PatchAttack, images: int, device: torch.device, processes: int = 1
) -> None:
    """Log the cost of a long gradient attack: the number of gradient steps, and the time measured on this device.

    Args:
        model: base model.
        attack: attack; without an estimate unless it is a :class:`~mrcert_pl.attacks.GradientAttack`.
        images: number of images to attack.
        device: device of the attack.
        processes: number of processes.
    """
    if not isinstance(attack, GradientAttack):
        return
    steps = attack.gradient_steps(model.image_px)
    if images * steps < _FEW_STEPS:
        return
    image = torch.zeros(3, *model.image_px, device=device)
    placement = placement_grid(attack.patch, model.image_px, max(model.image_px))[0]
    whole = copy(attack)
    whole.early_stop = False
    model.to(device)

    def climb(starts: int, steps: int) -> object:
        begun = [Start(number, placement, np.random.default_rng(number)) for number in range(starts)]
        return whole.climb(model, image, 0, begun, steps)

    seconds = images * steps * _step_seconds(climb, attack.starts, device) / processes
    if seconds >= _SHORT:
        log.info(
            "%s images x at most %s gradient steps: up to about %s", f"{images:,}", f"{steps:,}", duration(seconds)
        )


def announce_certificate_audit(
    model: BaseModel,
    mutants: MutantSet,
    attack: AdaptivePatch,
    placements: Sequence[Placement],
    images: int,
    cheap: int,
    token_budget: int | None,
    device: torch.device,
) -> None:
    """Log the number of placements of an audit, and for a long one the time measured on this device.

    Args:
        model: base model, on its device.
        mutants: mutants of an image.
        attack: gradient attack at each placement.
        placements: placements of the patch.
        images: number of images.
        cheap: number of patches at each placement that need no gradient.
        token_budget: token budget per batch; default: derived from free device memory.
        device: device of the audit.
    """
    log.info("each certified image is attacked at %d placements", len(placements))
    image = torch.zeros(3, *model.image_px, device=device)

    def climb(starts: int, steps: int) -> object:
        quick = copy(attack)
        quick.starts, quick.steps = starts, steps
        return list(quick.patched(model, image, 0, placements[0], 0))

    # An image that is round-trip certified is attacked twice at each placement.
    attacks = 2 * images * len(placements)
    ascents = attacks * attack.starts * attack.steps
    if ascents + attacks * len(mutants) < _FEW_STEPS:
        return
    seconds = ascents * _step_seconds(climb, attack.starts, device)
    watch = Stopwatch(model, model.image_px, mutants.hidden, device, token_budget)
    seconds += attacks * (1 + cheap) * (watch.encoding + float(watch.seconds(mutants.hidden).sum()))
    if seconds >= _SHORT:
        log.info("if all %s images are certified: up to about %s", f"{images:,}", duration(seconds))


def announce_numerics(model: BaseModel, mutants: MutantSet, images: int, per_image: int, device: torch.device) -> None:
    """Log the cost of a long audit of rounding: the number of mutants, and the time measured on this device.

    Args:
        model: base model, on its device.
        mutants: mutants of an image.
        images: number of images.
        per_image: largest number of mutants per image.
        device: device of the audit.
    """
    drawn = images * min(per_image, len(mutants))
    # A budget of one token: every mutant alone. Methods that label many at once take less.
    alone = Stopwatch(model, model.image_px, mutants.hidden, device, 1).seconds(mutants.hidden).mean()
    seconds = drawn * float(alone) * METHODS
    if seconds >= _SHORT:
        log.info("%s mutants, each by up to %s methods: up to about %s", f"{drawn:,}", METHODS, duration(seconds))


def _step_seconds(climb: Callable[[int, int], object], starts: int, device: torch.device) -> float:
    """Time a gradient step of one start.

    Args:
        climb: attack on one image with a number of starts and a number of gradient steps.
        starts: largest number of starts at the same time.
        device: device of the attack.
    """

    def seconds(starts: int, steps: int) -> float:
        return timed(lambda: climb(starts, steps), device)[0]

    seconds(1, 1)
    batch = min(starts, max(1, int(_TIMED / max(seconds(1, 1), 1e-9))))
    # Every attack also scores its last iterate.
    return max(seconds(batch, 1) - seconds(batch, 0), 0.0) / batch


def _forward_seconds(model: BaseModel, device: torch.device) -> float:
    """Time a forward pass of one image without masks; random numbers and the mode of the model stay."""
    image = torch.zeros(1, 3, *model.image_px, device=device)
    module: Any = model
    training = module.training
    # In evaluation mode no statistics of a normalisation change, and one image is enough for them.
    module.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model(image)
        seconds, _ = timed(lambda: model(image), device)
    module.train(training)
    return seconds


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, in words."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
