"""Attacked sets: images with a patch, written to disk as the attack finishes them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from mrcert_pl.data.attacked_facts import AttackedFacts, parse_facts
from mrcert_pl.data.attacked_header import HEADER_FILE, AttackedSetHeader, read_header
from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.images import ImageError, check_size
from mrcert_pl.data.records import Record, Split
from mrcert_pl.errors import ConfigurationError, DataError, differences
from mrcert_pl.files import write_json, write_whole
from mrcert_pl.plain import FieldError

_FACTS = "mrcert"
_CHOSEN_BY = "store or paths.output_dir"
# Where the set came from does not matter as long as the weights, the model and the settings are the same.
_NOT_COMPARED = ("made_from",)


class AttackedSet:
    """A folder with one file per attacked image, and a header with what made them all.

    Images on the 8-bit grid are PNG files, images of floating-point numbers safetensors files; both carry the facts
    about their image.

    Args:
        folder: Folder of the files.
        header: What the whole set has in common; ``images`` are the ids that it will consist of.

    Raises:
        DataError: if the folder has a set that was made by something else; names the differences.
    """

    def __init__(self, folder: Path, header: AttackedSetHeader) -> None:
        self.folder = folder
        self.header = header
        if (folder / HEADER_FILE).exists():
            self._check(read_header(folder))
        else:
            write_json(folder / HEADER_FILE, header.to_json(), _CHOSEN_BY)

    def ids(self) -> set[int]:
        """Return the ids of the images that are finished."""
        return set(_files(self.folder, self.header))

    def add(self, image: Tensor, facts: Mapping[str, Any]) -> Path:
        """Write a finished image.

        Args:
            image: ``[3, height, width]``; on the 8-bit grid if the header has ``quantize``.
            facts: The fields of :class:`AttackedFacts`; ``placement`` as a mapping.
        """
        text = json.dumps(facts)
        path = self.folder / f"{facts['id']}{_suffix(self.header)}"
        if self.header.quantize:
            info = PngInfo()
            info.add_text(_FACTS, text)
            pixels = to_pil_image((image.cpu() * 255).round().byte())
            return write_whole(path, lambda partial: pixels.save(partial, format="PNG", pnginfo=info), _CHOSEN_BY)
        content = {"image": image.float().cpu().contiguous()}
        return write_whole(path, lambda partial: save_file(content, partial, metadata={_FACTS: text}), _CHOSEN_BY)

    def _check(self, found: AttackedSetHeader) -> None:
        # As it is when it is read: no tuples.
        theirs, ours = (json.loads(json.dumps(header.to_json())) for header in (found, self.header))
        for header in (theirs, ours):
            for name in _NOT_COMPARED:
                del header[name]
        if different := differences(theirs, ours, "in the set"):
            raise DataError(
                f"the attacked set in {self.folder} was made by something else:\n  "
                + "\n  ".join(different)
                + "\ngive the settings that it was made with, or another folder as store="
            )


class AttackedImages:
    """The images of an attacked set, all of them test images; ids and paths are those of the source.

    Args:
        folder: Folder of the set.

    Attributes:
        header: What made the set.
        facts: What the attack recorded about each image, ascending by id.

    Raises:
        DataError: if there is no set, or it is unfinished, damaged or inconsistent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = read_header(folder)
        self._files = _files(folder, self.header)
        if missing := set(self.header.images) - set(self._files):
            raise DataError(
                f"{len(missing)} of the {len(self.header.images)} images in {folder} have not been attacked yet; "
                f"mrcert attack store={folder}, with the settings that it was started with, continues"
            )
        self.facts = [read_facts(self._files[image_id], self.header) for image_id in sorted(self.header.images)]
        paths: dict[str, int] = {}
        for facts in self.facts:
            if (first := paths.setdefault(facts.path, facts.id)) != facts.id:
                raise DataError(f"{folder} has the image {facts.path} twice, under the ids {first} and {facts.id}")
        self._records = [Record(facts.id, facts.label, facts.path) for facts in self.facts]

    def records(self, split: Split) -> Sequence[Record]:
        if split != "test":
            raise DataError("an attacked set has no training and validation images")
        return self._records

    def image(self, record: Record) -> Image.Image | Tensor:
        file = self._files[record.id]
        if file.suffix == ".png":
            with Image.open(file, formats=["PNG"]) as image:
                return image.convert("RGB")
        with safe_open(file, framework="pt") as content:
            return content.get_tensor("image")


def describe_attacked(root: str | Path | None = None, labels: str | Path | None = None) -> DatasetDescription:
    """Describe an attacked set; its header names the classes.

    Raises:
        ConfigurationError: without a folder, or with a table of labels.
        DataError: if there is no attacked set in it.
    """
    if root is None or labels is not None:
        raise ConfigurationError(
            "dataset=attacked needs dataset.path=FOLDER, the folder of a set that mrcert attack made, and no labels"
        )
    header = read_header(Path(root))
    return DatasetDescription(
        f"{header.source}, attacked",
        header.classes,
        resize="whole",
        source=AttackedImages,
        layout=(HEADER_FILE, f"<id>{_suffix(header)}"),
        origin="the command mrcert attack",
        attacked=header.source,
    )


def read_facts(file: Path, header: AttackedSetHeader) -> AttackedFacts:
    """Read and validate the facts in a file of an attacked set.

    Raises:
        ImageError: for a damaged file, or facts that contradict the image.
    """
    try:
        if file.suffix == ".png":
            with Image.open(file, formats=["PNG"]) as image:
                check_size(image.size)
                image.load()
                text, size = image.info[_FACTS], (image.height, image.width)
        else:
            with safe_open(file, framework="pt") as content:
                text, shape = content.metadata()[_FACTS], content.get_slice("image").get_shape()
                if len(shape) != 3 or shape[0] != 3:
                    raise FieldError("", f"an image has the shape [3, height, width], got {list(shape)}")
                size = (shape[1], shape[2])
                check_size((size[1], size[0]))
                image_values = content.get_tensor("image")
                if not image_values.is_floating_point() or not bool(image_values.isfinite().all()):
                    raise FieldError("", "its values must be finite floating-point numbers")
        return parse_facts(text, int(file.stem), len(header.classes), size)
    except FieldError as error:
        raise ImageError(f"{file}: {error}; do not use this set unless you know where it comes from") from error
    except (
        *(OSError, SyntaxError, SafetensorError, KeyError, TypeError, ValueError),
        Image.DecompressionBombError,
        ImageError,
    ) as error:
        raise ImageError(f"{file} is damaged ({error}); remove it and attack its image again") from error


def _suffix(header: AttackedSetHeader) -> str:
    return ".png" if header.quantize else ".safetensors"


def _files(folder: Path, header: AttackedSetHeader) -> dict[int, Path]:
    """Return the finished images by their ids."""
    files = folder.glob(f"*{_suffix(header)}")
    return {int(file.stem): file for file in files if file.stem.isdecimal() and str(int(file.stem)) == file.stem}
