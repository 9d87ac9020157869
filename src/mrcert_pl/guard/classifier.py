"""From images to verdicts, with a base model and a defender in memory."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from mrcert_pl.data import ImageError, Preprocessing
from mrcert_pl.data.images import Exif
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.defenders import Defender, Detector, OutputLevel
from mrcert_pl.defenders import build as build_defender
from mrcert_pl.errors import ConfigurationError, MRCertError, unknown
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.guard.base_model import checked_model, device_of
from mrcert_pl.guard.explain import guard_verdicts
from mrcert_pl.guard.policy import Policy
from mrcert_pl.guard.sources import ImageInput, listed, photo_or_tensor
from mrcert_pl.guard.verdict import GuardVerdict, meaning_of, meaning_of_silence
from mrcert_pl.mutants import MutantEvaluator

Patch = Shape | tuple[Shape, ...] | PatchSpec
Stride = int | tuple[int, int]


class CertifiedClassifier:
    """Label images that may carry a patch, and certify the labels.

    Only mutants that can change the requested outputs are evaluated (docs/theory.md, Theorem 20).

    Args:
        model: Base model in evaluation mode, see :class:`~mrcert_pl.guard.base_model.GuardableModel`.
        defender: Name as for ``defender=`` on the command line, or a defender.
        patch: Patch to defend against, or its size.
        class_names: Names of the labels in their order; default: their numbers.
        resize: Method to bring photos to the size of the model, see :class:`mrcert_pl.data.Preprocessing`.
        policy: From certificates to decisions.
        stride: Stride of the masks in windows, of votes in px.
        batch_size: Number of images per batch.
        token_budget: Token budget per batch of mutants; default: derived from free device memory.
        exif: ``apply`` or ``ignore`` the rotation in the EXIF data of photos.

    Attributes:
        preprocessing: From photos to the model's input.
        evaluator: Evaluates mutants.

    Raises:
        ConfigurationError: for an object that is no base model, a model that does not fit the defender, a patch that
            can't be covered, a wrong number of names or an empty batch.
    """

    def __init__(
        self,
        model: object,
        defender: str | Defender[Any],
        patch: Patch,
        class_names: Sequence[str] | None = None,
        resize: Resize = "crop",
        policy: Policy | None = None,
        stride: Stride = 1,
        batch_size: int = 8,
        token_budget: int | None = None,
        exif: Exif = "apply",
    ) -> None:
        self.model = checked_model(model)
        classes = self.model.num_classes
        if isinstance(class_names, str):
            raise ConfigurationError(f"the names of the classes must be a list, got {class_names!r}")
        names = [str(label) for label in range(classes)] if class_names is None else list(class_names)
        if len(names) != classes:
            raise ConfigurationError(f"the model has {classes} classes, got {len(names)} names")
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, got {batch_size}")
        if exif not in get_args(Exif):
            raise unknown("exif", exif, get_args(Exif))
        self.class_names = tuple(names)
        self.defender = build_defender(defender) if isinstance(defender, str) else defender
        self.patch = patch if isinstance(patch, PatchSpec) else PatchSpec(patch)
        self.policy = policy or Policy()
        self.stride = stride
        self.batch_size = batch_size
        self.exif: Exif = exif
        self.preprocessing = Preprocessing(self.model.image_px, resize)
        mutants = self.defender.mutants(self.model, self.patch, stride)
        self.evaluator = MutantEvaluator(self.model, mutants, token_budget)

    def __call__(
        self,
        images: ImageInput | Sequence[ImageInput],
        output: OutputLevel | str = OutputLevel.MAP,
        names: Sequence[str] | None = None,
        *,
        want: object = None,
    ) -> list[GuardVerdict]:
        """Return verdicts on images, in their order.

        Args:
            images: One image or several, see :meth:`prepare`; also a batch in one tensor or array, ``[image, 3, height,
                width]`` of floating-point values in [0, 1] or ``[image, height, width, channel]`` of uint8.
            output: Output level; lower levels need fewer mutants.
            names: Names of the images in the verdicts; default: their paths or numbers.
            want: Former name of ``output``.

        Raises:
            ImageError: for a photo that can't be decoded.
            DataError: for an array or tensor of another shape, type or range.
            ConfigurationError: for an unknown output level, or another number of names.
        """
        if want is not None:
            raise ConfigurationError(f"want= is now output=: output={want!r}")
        sources = listed(images)
        names = [_name(source, number) for number, source in enumerate(sources)] if names is None else names
        if len(names) != len(sources):
            raise ConfigurationError(f"{len(sources)} images need as many names, got {len(names)}")
        defender = self.defender.with_output(output)
        verdicts: list[GuardVerdict] = []
        for start in range(0, len(sources), self.batch_size):
            part = slice(start, start + self.batch_size)
            verdicts += self._verdicts([self.prepare(source) for source in sources[part]], names[part], defender)
        return verdicts

    def each(
        self, files: Sequence[Path], output: OutputLevel | str = OutputLevel.MAP
    ) -> Iterator[GuardVerdict | ImageError]:
        """Yield verdicts on image files in their order, batch by batch; the error for a file without an image."""
        defender = self.defender.with_output(output)
        for start in range(0, len(files), self.batch_size):
            tensors: dict[int, Tensor] = {}
            outcomes: dict[int, GuardVerdict | ImageError] = {}
            part = files[start : start + self.batch_size]
            for number, file in enumerate(part):
                try:
                    tensors[number] = self.prepare(file)
                except ImageError as error:
                    outcomes[number] = error
            names = [str(part[number]) for number in tensors]
            outcomes |= zip(tensors, self._verdicts(list(tensors.values()), names, defender), strict=True)
            yield from (outcomes[number] for number in range(len(part)))

    def each_alone(
        self, images: Sequence[Tensor], output: OutputLevel | str = OutputLevel.MAP
    ) -> list[GuardVerdict | MRCertError]:
        """Return verdicts on prepared images; if their batch fails, the error of each image that fails alone."""
        try:
            return list(self(list(images), output))
        except MRCertError as error:
            if len(images) == 1:
                return [error]
        return [outcome for image in images for outcome in self.each_alone([image], output)]

    def prepare(self, source: ImageInput) -> Tensor:
        """Return the model's input for an image: ``[3, height, width]`` in [0, 1].

        Args:
            source: A path, encoded bytes, a Pillow image, a uint8 array ``[height, width]`` or
                ``[height, width, channel]`` of any size, or a floating-point array or tensor ``[3, height, width]`` in
                [0, 1] of the model's size.

        Raises:
            ImageError: for a photo that can't be decoded, is too large or too long.
            DataError: for an array or tensor of another shape, type or range.
        """
        return self.preprocessing(photo_or_tensor(source, self.exif))

    def legend(self) -> str:
        """Meaning of a number of patches beside a verdict; of a detector, that of an accepted label."""
        if isinstance(self.defender, Detector):
            return f"accept: {meaning_of_silence(self.patch, self.model.image_px, self.defender.at_once)}"
        return f"n patches: {meaning_of(None, self.patch, self.model.image_px)}"

    def _verdicts(self, images: Sequence[Tensor], names: Sequence[str], defender: Defender[Any]) -> list[GuardVerdict]:
        if not images:
            return []
        started = time.perf_counter()
        table = self.evaluator.evaluate(torch.stack(list(images)).to(device_of(self.model)), defender, ids=names)
        verdicts = defender.decide(table)
        seconds = (time.perf_counter() - started) / len(images)
        evaluated = table.evaluated.sum(1).tolist()
        return guard_verdicts(
            defender.decided_on(table),
            verdicts,
            evaluated,
            self.model,
            self.patch,
            self.policy,
            self.class_names,
            names,
            seconds,
        )


def _name(source: object, number: int) -> str:
    return str(source) if isinstance(source, str | Path) else f"image {number}"
