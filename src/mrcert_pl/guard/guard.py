"""The guard: from images to verdicts."""

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
from mrcert_pl.errors import CheckpointError, ConfigurationError, MRCertError, unknown
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.guard import hub
from mrcert_pl.guard.base_model import checked_model, device_named, device_of, wrapped
from mrcert_pl.guard.explain import guard_verdicts
from mrcert_pl.guard.model_card import MeasuredAccuracy
from mrcert_pl.guard.origin import Origin
from mrcert_pl.guard.policy import Policy
from mrcert_pl.guard.sources import ImageInput, listed, photo_or_tensor
from mrcert_pl.guard.verdict import GuardVerdict, meaning_of, meaning_of_silence
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.models.rebuild import rebuild
from mrcert_pl.mutants import MutantEvaluator

Patch = Shape | tuple[Shape, ...] | PatchSpec
Stride = int | tuple[int, int]


class Guard:
    """Label images that may carry a patch, and certify the labels.

    ``Guard.from_checkpoint("best.ckpt")(["photo.jpg"])`` returns a list of verdicts. Only mutants that can change the
    requested outputs are evaluated (docs/theory.md, Theorem 20).

    Args:
        model: Base model in evaluation mode, see :class:`~mrcert_pl.guard.base_model.GuardableModel`. :meth:`wrap`
            takes any classifier.
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

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        defender: str | Defender[Any] = "mrcert_sharp",
        patch: Patch | None = None,
        class_names: Sequence[str] | None = None,
        resize: Resize | None = None,
        policy: Policy | None = None,
        stride: Stride | None = None,
        batch_size: int = 8,
        token_budget: int | None = None,
        exif: Exif = "apply",
        device: str = "auto",
    ) -> "Guard":
        """Load a guard from a checkpoint of ``train.py``, or a safetensors file of ``mrcert convert``.

        Args:
            checkpoint: Path of the file. It states patch, class names, resizing and stride of the training; arguments
                of these names take precedence.
            device: Device name; ``auto`` is a GPU if there is one.

        The other arguments are those of the class.

        Raises:
            CheckpointError: for a file that is missing, damaged or not a checkpoint of this project.
            ConfigurationError: for an unknown defender or device, no patch at all, and as the class does.
        """
        place = device_named(device)
        content = read_checkpoint(checkpoint)
        trained = Origin.of(content.origin, content.path)
        patch = trained.patch if patch is None else patch
        if patch is None:
            raise ConfigurationError(f"{checkpoint} does not state the patch of its training: give patch=")
        return cls(
            rebuild(content).to(place),
            defender,
            patch,
            trained.classes if class_names is None else class_names,
            resize or trained.resize or "crop",
            policy,
            trained.stride if stride is None else stride,
            batch_size,
            token_budget,
            exif,
        )

    @classmethod
    def wrap(
        cls,
        module: object,
        patch: Shape | tuple[Shape, ...] = 32,
        classes: Sequence[str] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        image_px: int | tuple[int, int] | None = None,
        defender: str | Defender[Any] = "patchcure",
        masks_per_axis: int = 6,
        fill: float = 0.0,
        resize: Resize = "crop",
        policy: Policy | None = None,
        batch_size: int = 8,
        token_budget: int | None = None,
        exif: Exif = "apply",
        device: str = "auto",
    ) -> "Guard":
        """Guard an existing classifier without training, by masks of pixels as in PatchCleanser.

        Args:
            module: ``torch.nn.Module`` from normalised images ``[image, 3, height, width]`` to logits, also in an
                output object with ``logits``. It is switched to evaluation mode and moved to ``device``.
            patch: Patch size.
            classes: Names of the labels in their order; default: their numbers.
            mean: Mean of the channels, subtracted from images in [0, 1]; default: that of a timm model.
            std: Standard deviation of the channels; default: that of a timm model.
            image_px: Image size in px, the side of a square or ``(height, width)``; default: that of a timm model,
                or 224.
            masks_per_axis: Maximum number of masks along an axis; a defender of two patches needs 4 or fewer.
            fill: Value of hidden pixels after normalisation.
            device: Device name; ``auto`` is a GPU if there is one.

        The other arguments are those of the class.

        Raises:
            ConfigurationError: for a module that does not map such images to logits, a missing mean or standard
                deviation, and as the class does.
        """
        place = device_named(device)
        model = wrapped(module, patch, mean, std, image_px, masks_per_axis, fill).to(place)
        return cls(
            model,
            defender,
            patch,
            classes,
            resize,
            policy,
            1,
            batch_size=batch_size,
            token_budget=token_budget,
            exif=exif,
        )

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None, device: str = "auto") -> "Guard":
        """Load a guard that :meth:`save_pretrained` or :meth:`push_to_hub` wrote.

        Args:
            source: A folder, or ``owner/name`` of a repository on the Hugging Face hub.
            revision: Branch, tag or commit of the repository.
            device: Device name; ``auto`` is a GPU if there is one.

        Raises:
            CheckpointError: for missing, damaged or contradicting files, or a repository that can't be read.
            ConfigurationError: for an unknown device.
        """
        folder = hub.local_folder(source, revision)
        kind, settings = hub.read_settings(folder)
        guard = cls.from_checkpoint(folder / hub.WEIGHTS, **settings, device=device)
        if (found := type(guard.model).__name__) != kind:
            raise CheckpointError(f"{folder}: {hub.CONFIG} states a {kind}, and {hub.WEIGHTS} holds a {found}")
        return guard

    def save_pretrained(
        self, folder: str | Path, results: Sequence[MeasuredAccuracy] = (), training: str | None = None
    ) -> Path:
        """Write ``config.json``, ``model.safetensors`` and a model card into a folder and return it.

        Args:
            folder: It is made if it is missing.
            results: Measured accuracies for the model card.
            training: Description of the training for the model card.

        Raises:
            ConfigurationError: for a model or a defender that plain values can't describe, such as a wrapped module.
            ResultsError: for a folder that can't be written.
        """
        return hub.write_folder(self, Path(folder), results, training)

    def push_to_hub(
        self,
        repo_id: str,
        results: Sequence[MeasuredAccuracy] = (),
        training: str | None = None,
        private: bool = False,
        token: str | None = None,
    ) -> str:
        """Upload the files of :meth:`save_pretrained` to the Hugging Face hub and return the address.

        Args:
            repo_id: ``owner/name``; the repository is made if it is missing.
            results: Measured accuracies for the model card.
            training: Description of the training for the model card.
            private: Visibility of a new repository.
            token: Access token; default: that of ``hf auth login``.

        Raises:
            ConfigurationError: for an invalid name, an upload that fails, and as :meth:`save_pretrained` does.
        """
        return hub.push(self, repo_id, results, training, private, token)

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
