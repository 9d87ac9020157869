"""The guard: loaded from a checkpoint, a folder or the hub, or wrapped around a classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrcert_pl.data.images import Exif
from mrcert_pl.data.preprocessing import Resize
from mrcert_pl.defenders import Defender
from mrcert_pl.errors import CheckpointError, ConfigurationError
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.guard import hub
from mrcert_pl.guard.base_model import device_named, wrapped
from mrcert_pl.guard.classifier import CertifiedClassifier, Patch, Stride
from mrcert_pl.guard.model_card import MeasuredAccuracy
from mrcert_pl.guard.origin import Origin, Start
from mrcert_pl.guard.policy import Policy
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.models.rebuild import rebuild


class Guard(CertifiedClassifier):
    """Label images that may carry a patch, and certify the labels.

    ``Guard.from_checkpoint("best.ckpt")(["photo.jpg"])`` returns a list of verdicts. Arguments, attributes and errors
    are those of :class:`~mrcert_pl.guard.classifier.CertifiedClassifier`; :meth:`wrap` takes any classifier.

    Attributes:
        start: Weights that the training started from: those of the backbone's tag (``hub``), a ``file`` or ``random``;
            ``None`` where the checkpoint does not state them.
    """

    start: Start | None = None

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
        target = device_named(device)
        content = read_checkpoint(checkpoint)
        trained = Origin.of(content.origin, content.path)
        patch = trained.patch if patch is None else patch
        if patch is None:
            raise ConfigurationError(f"{checkpoint} does not state the patch of its training: give patch=")
        guard = cls(
            rebuild(content).to(target),
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
        guard.start = trained.start
        return guard

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
            masks_per_axis: Maximum number of masks along an axis; a defender of two patches evaluates
                up to 2,517 mutants with 4, and 66,296 with 6 (patch of 32 px).
            fill: Value of hidden pixels after normalisation.
            device: Device name; ``auto`` is a GPU if there is one.

        The other arguments are those of the class.

        Raises:
            ConfigurationError: for a module that does not map such images to logits, a missing mean or standard
                deviation, and as the class does.
        """
        target = device_named(device)
        model = wrapped(module, patch, mean, std, image_px, masks_per_axis, fill).to(target)
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
