"""Attacked sets: images with a patch on them, on disk from the moment that the attack has finished them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from mrcert_pl.data.description import DatasetDescription
from mrcert_pl.data.images import ImageError
from mrcert_pl.data.records import Record, Split
from mrcert_pl.errors import ConfigurationError, DataError, differences
from mrcert_pl.files import write_json, write_whole

_FORMAT = 1
_HEADER = "attack.json"
_ENDINGS = (".png", ".safetensors")
_FACTS = "mrcert"
_CHOSEN_BY = "store or paths.output_dir"
# Only helps to find what the set was made from; that is the same if the weights, the model and the settings are.
_NOT_COMPARED = ("made_from",)


class AttackedSet:
    """A folder with one file for each attacked image, and a header that says what made them all.

    A picture is a PNG, an image of floating-point numbers a safetensors file; both carry the facts about their image:
    its id, label and path in the source, the placement of the patch, the loss, the labels before and after.

    Args:
        folder: where the files are, or will be.
        header: plain values that the whole set agrees on; ``images``, the ids that it is to have, is one of them.

    Raises:
        DataError: if the folder has a set that was made by something else, naming the differences.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.folder = folder
        # As it is when it is read: no tuples.
        self.header = json.loads(json.dumps({"format": _FORMAT, **header}))
        if (folder / _HEADER).exists():
            self._check(read_header(folder))
        else:
            write_json(folder / _HEADER, self.header, _CHOSEN_BY)

    def ids(self) -> set[int]:
        """Ids of the images that are finished."""
        return set(_files(self.folder))

    def add(self, image: Tensor, facts: Mapping[str, Any]) -> Path:
        """Write a finished image.

        Args:
            image: ``[3, height, width]``; on the 8-bit grid if the header has ``quantize``.
            facts: plain values, ``id``, ``label`` and ``path`` among them.
        """
        text = json.dumps(facts)
        if self.header["quantize"]:
            info = PngInfo()
            info.add_text(_FACTS, text)
            picture = to_pil_image((image.cpu() * 255).round().byte())
            path = self.folder / f"{facts['id']}.png"
            return write_whole(path, lambda partial: picture.save(partial, format="PNG", pnginfo=info), _CHOSEN_BY)
        path = self.folder / f"{facts['id']}.safetensors"
        content = {"image": image.float().cpu().contiguous()}
        return write_whole(path, lambda partial: save_file(content, partial, metadata={_FACTS: text}), _CHOSEN_BY)

    def _check(self, found: Mapping[str, Any]) -> None:
        theirs, ours = ({k: v for k, v in header.items() if k not in _NOT_COMPARED} for header in (found, self.header))
        if different := differences(theirs, ours, "in the set"):
            raise DataError(
                f"the attacked set in {self.folder} was made by something else:\n  "
                + "\n  ".join(different)
                + "\ngive the settings that it was made with, or another folder as store="
            )


class AttackedImages:
    """The images of an attacked set, all of them to test on; the ids and paths are those of the source.

    Args:
        folder: of the set.

    Attributes:
        facts: what the attack knew about each image, ascending by id.

    Raises:
        DataError: if there is no set, it is not finished, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        expected = read_header(folder)["images"]
        self._files = _files(folder)
        if missing := set(expected) - set(self._files):
            raise DataError(
                f"{len(missing)} of the {len(expected)} images in {folder} have not been attacked yet; "
                f"mrcert attack store={folder}, with the settings that it was begun with, goes on"
            )
        self.facts = [read_facts(self._files[key]) for key in sorted(expected)]
        self._records = [Record(facts["id"], facts["label"], facts["path"]) for facts in self.facts]

    def records(self, split: Split) -> Sequence[Record]:
        if split != "test":
            raise DataError("an attacked set has no images to train on, or to choose a model by")
        return self._records

    def image(self, record: Record) -> Image.Image | Tensor:
        file = self._files[record.id]
        if file.suffix == ".png":
            with Image.open(file) as picture:
                return picture.convert("RGB")
        with safe_open(file, framework="pt") as content:
            return content.get_tensor("image")


def describe_attacked(folder: str | Path | None) -> DatasetDescription:
    """The description of an attacked set: its header knows the classes.

    Raises:
        ConfigurationError: without a folder.
        DataError: if there is no attacked set in it.
    """
    if folder is None:
        raise ConfigurationError(
            "dataset=attacked needs dataset.path=FOLDER, the folder of a set that mrcert attack made"
        )
    header = read_header(Path(folder))
    return DatasetDescription(
        f"{header['dataset']}, attacked",
        tuple(header["classes"]),
        resize="whole",
        source=AttackedImages,
        layout=(_HEADER, "<id>.png"),
        origin="the command mrcert attack",
        attacked=header["dataset"],
    )


def read_header(folder: Path) -> dict[str, Any]:
    """What an attacked set was made by.

    Raises:
        DataError: if there is no attacked set of this version.
    """
    path = folder / _HEADER
    try:
        header = json.loads(path.read_text())
    except OSError as error:
        raise DataError(f"there is no attacked set in {folder} (no {_HEADER}); mrcert attack makes one") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); make the set again with mrcert attack") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise DataError(
            f"{path} is not the header of an attacked set of this version; make it again with mrcert attack"
        )
    return header


def read_facts(file: Path) -> dict[str, Any]:
    """What a file of an attacked set knows about its image.

    Raises:
        ImageError: for a damaged file.
    """
    try:
        if file.suffix == ".png":
            with Image.open(file) as picture:
                picture.load()
                return json.loads(picture.info[_FACTS])
        with safe_open(file, framework="pt") as content:
            return json.loads(content.metadata()[_FACTS])
    except (OSError, SyntaxError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ImageError(f"{file} is damaged ({error}); remove it and attack its image again") from error


def _files(folder: Path) -> dict[int, Path]:
    found: Iterable[Path] = (path for path in folder.glob("*") if path.suffix in _ENDINGS and path.stem.isdigit())
    return {int(path.stem): path for path in found}
