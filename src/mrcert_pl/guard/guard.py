"""The guard: from images to verdicts."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mrcert_pl.data import ImageError, Preprocessing, describe
from mrcert_pl.data.images import read_image
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.defenders import Defender, OutputLevel, Verdicts, build
from mrcert_pl.errors import ConfigurationError, DataError
from mrcert_pl.geometry import PatchSpec
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.guard.evidence import Evidence, evidence
from mrcert_pl.guard.policy import Policy
from mrcert_pl.guard.verdict import GuardVerdict, meaning_of
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.models.rebuild import rebuild
from mrcert_pl.mutants import MutantEvaluator, PredictionTable

Picture = str | Path | Image.Image | Tensor


class Guard:
    """Labels images that may carry a patch, and says what is certain about each label.

    ``Guard.from_checkpoint("best.ckpt")(["photo.jpg"])`` gives a list of verdicts. No more mutants are labelled than
    can change what is asked for (docs/theory.md, Theorem 20).

    Args:
        model: a base model, in evaluation mode.
        defender: decides.
        patch: to defend against.
        class_names: of the labels, in their order; by default their numbers.
        resize: how pictures come to the size of the model, see :class:`mrcert_pl.data.Preprocessing`.
        policy: turns verdicts into decisions.
        stride: distance of neighbouring masks in windows, of votes in px.
        batch_size: images that are labelled together.
        token_budget: most tokens in one batch of mutants; by default what the device has memory for.

    Attributes:
        preprocessing: from pictures to what the model sees. evaluator: labels its mutants.

    Raises:
        ConfigurationError: for a model that has no such mutants, a patch that can't be covered, a wrong number of
            names, a batch without images.
    """

    def __init__(
        self,
        model: Any,
        defender: Defender[Any],
        patch: PatchSpec,
        class_names: Sequence[str] | None = None,
        resize: Resize = "crop",
        policy: Policy | None = None,
        stride: int | tuple[int, int] = 1,
        batch_size: int = 8,
        token_budget: int | None = None,
    ) -> None:
        names = [str(label) for label in range(model.num_classes)] if class_names is None else list(class_names)
        if len(names) != model.num_classes:
            raise ConfigurationError(f"the model has {model.num_classes} classes, and {len(names)} have a name")
        if batch_size < 1:
            raise ConfigurationError(f"the batch size must be at least 1, not {batch_size}")
        self.class_names = tuple(names)
        self.defender = defender
        self.patch = patch
        self.policy = policy or Policy()
        self.batch_size = batch_size
        self.model = model
        self.preprocessing = Preprocessing(model.image_px, resize)
        self.evaluator = MutantEvaluator(model, defender.mutants(model, patch, stride), token_budget)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        defender: str | Defender[Any] = "mrcert_sharp",
        patch: Shape | None = None,
        class_names: Sequence[str] | None = None,
        resize: Resize | None = None,
        stride: int | tuple[int, int] | None = None,
        device: str = "cpu",
        **settings: Any,
    ) -> "Guard":
        """A guard from a checkpoint of ``train.py``, or a safetensors of ``mrcert convert``, and nothing else.

        Args:
            checkpoint: the file.
            defender: one of the names of ``defender=`` on the command line, or a defender.
            patch: size of the patch, as for :class:`mrcert_pl.geometry.PatchSpec`; by default the one that the model
                was trained for.
            class_names: instead of those in the checkpoint.
            resize: instead of the way of the data set that the model was trained on.
            stride: instead of that of the training.
            device: ``cpu``, ``cuda``, ...
            settings: further ones of the class.

        Raises:
            CheckpointError: for a file that is missing, damaged or not one of ours.
            ConfigurationError: for an unknown defender, no patch at all, and as the class does.
        """
        content = read_checkpoint(checkpoint)
        origin = content.origin
        model = rebuild(content).to(device)
        if patch is None and "patch" not in origin:
            raise ConfigurationError(f"{checkpoint} doesn't say which patch it was trained for: give patch=")
        return cls(
            model,
            build(defender) if isinstance(defender, str) else defender,
            PatchSpec(origin["patch"] if patch is None else patch),
            origin.get("classes") if class_names is None else class_names,
            _resize(origin) if resize is None else resize,
            stride=_stride(origin.get("stride", 1)) if stride is None else stride,
            **settings,
        )

    def __call__(
        self, images: Picture | Sequence[Picture], want: OutputLevel | str = "map", names: Sequence[str] | None = None
    ) -> list[GuardVerdict]:
        """Verdicts on images, in their order.

        Args:
            images: pictures of any size and mode, their paths, or a tensor ``[image, 3, height, width]`` in [0, 1] of
                the size that the model takes; a single one is a list of one.
            want: what the defender is asked for, see :class:`mrcert_pl.defenders.Defender`: less of it, fewer mutants.
            names: what the verdicts call the images; by default their paths or numbers.

        Raises:
            ImageError: for a file that can't be read as a picture.
            DataError: for a tensor of another shape or range.
            ConfigurationError: for an unknown output level, or another number of names.
        """
        pictures = _listed(images)
        names = [_name(picture, number) for number, picture in enumerate(pictures)] if names is None else names
        if len(names) != len(pictures):
            raise ConfigurationError(f"{len(pictures)} images need as many names, not {len(names)}")
        verdicts: list[GuardVerdict] = []
        for start in range(0, len(pictures), self.batch_size):
            part = slice(start, start + self.batch_size)
            verdicts += self._verdicts([self.prepare(picture) for picture in pictures[part]], names[part], want)
        return verdicts

    def each(self, files: Sequence[Path], want: OutputLevel | str = "map") -> Iterator[GuardVerdict | ImageError]:
        """Verdicts on pictures in files, in their order and as they are finished; the error for a file without one."""
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
            outcomes |= zip(tensors, self._verdicts(list(tensors.values()), names, want), strict=True)
            yield from (outcomes[number] for number in range(len(part)))

    def prepare(self, picture: Picture) -> Tensor:
        """The image that the model sees of a picture: ``[3, height, width]`` in [0, 1].

        Raises:
            ImageError: for a file that can't be read as a picture.
            DataError: for a tensor of another shape or range.
        """
        if isinstance(picture, str | Path):
            picture = read_image(Path(picture))
        if not isinstance(picture, Image.Image | Tensor):
            raise DataError(f"an image is a picture of Pillow's, a path or a tensor, not {type(picture).__name__}")
        image = self.preprocessing(picture)
        if not image.is_floating_point() or not bool(((image >= 0) & (image <= 1)).all()):
            raise DataError(
                f"an image must have floating-point values in [0, 1], not {image.dtype} from {image.min():g} to "
                f"{image.max():g}; the model normalises them itself"
            )
        return image

    def legend(self) -> str:
        """What a number of patches beside a verdict means."""
        return f"n patches: {meaning_of(None, self.patch, self.model.image_px)}"

    def _verdicts(self, images: Sequence[Tensor], names: Sequence[str], want: OutputLevel | str) -> list[GuardVerdict]:
        if not images:
            return []
        started = time.perf_counter()
        defender = self.defender.with_output(want)
        table = self.evaluator.evaluate(torch.stack(list(images)).to(self.model.mean.device), defender, ids=names)
        verdicts = defender.decide(table)
        behind = evidence(table, verdicts, self.model, self.patch)
        seconds = (time.perf_counter() - started) / len(images)
        return [
            self._verdict(row, table, verdicts, behind[row], image=name, seconds=seconds)
            for row, name in enumerate(names)
        ]

    def _verdict(
        self, row: int, table: PredictionTable[Any], verdicts: Verdicts, behind: Evidence, **facts: Any
    ) -> GuardVerdict:
        def given(field: str) -> Any:
            values = getattr(verdicts, field)
            return None if values is None else values[row].item()

        label, base_label = given("label"), int(table.labels[row, 0])
        certified, round_trip, patches = given("certified"), given("round_trip"), given("certified_patches")
        proven = 1 + bool(round_trip) if patches is None else patches
        return GuardVerdict(
            label=label,
            name=self.class_names[label],
            decision=self.policy.decide(certified, round_trip, hides=bool(behind.witness)),
            certified=certified,
            certified_patches=patches,
            round_trip=round_trip,
            case=given("case"),
            base_label=base_label,
            base_name=self.class_names[base_label],
            mutants_evaluated=int(table.evaluated[row].sum()),
            meaning=meaning_of(proven, self.patch, self.model.image_px) if certified else None,
            **facts,
            **vars(behind),
        )


def _listed(images: Picture | Sequence[Picture]) -> list[Picture]:
    if isinstance(images, Tensor):
        return [images] if images.ndim == 3 else list(images)
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, Sequence):
        return list(images)
    raise DataError(f"images are pictures, their paths or a tensor, not {type(images).__name__}")


def _resize(origin: Mapping[str, Any]) -> Resize:
    """How the model's training resized; checkpoints of earlier versions name the data set alone."""
    if "resize" in origin:
        return origin["resize"]
    return describe(origin["dataset"]).resize if "dataset" in origin else "crop"


def _stride(stride: int | Sequence[int]) -> int | tuple[int, int]:
    """A stride that was written as JSON."""
    return stride if isinstance(stride, int) else (stride[0], stride[1])


def _name(picture: Picture, number: int) -> str:
    return str(picture) if isinstance(picture, str | Path) else f"image {number}"
