"""Record of the attack on an image: validated against the image and the set before it is used."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from mrcert_pl.data.untrusted_values import OPEN, Id, Number, Side, Text
from mrcert_pl.plain import FieldError, Record, checked_json


class PatchBox(NamedTuple):
    """Top left pixel and size of a patch in px."""

    top: Number
    left: Number
    height: Side
    width: Side


@dataclass(frozen=True)
class AttackedFacts(Record):
    """What the attack recorded about an image.

    Attributes:
        id: Id in the source.
        label: True label.
        path: Path in the source.
        placement: Location of the patch.
        loss: Score of the attack; of an attack on the base model its loss on the true label.
        clean_prediction: Label that the model gives to the image before the attack.
        prediction: Label that it gives to the patched image.
        success: Whether that is wrong.
        start: Restart that the patch comes from.
        step: Step of that restart.
    """

    __pydantic_config__ = OPEN

    id: Id
    label: Number
    path: Text
    placement: PatchBox
    loss: float
    clean_prediction: Number
    prediction: Number
    success: bool
    start: Id
    step: Id

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "placement": self.placement._asdict()}


def parse_facts(text: object, file_id: int, num_classes: int, size: tuple[int, int]) -> AttackedFacts:
    """Parse and validate the facts about an image of an attacked set.

    Args:
        text: JSON.
        file_id: Id in the file's name.
        num_classes: Number of classes of the set.
        size: Height and width of the image in px.

    Raises:
        ValueError: for malformed JSON, or an invalid value.
    """
    if not isinstance(text, str):
        raise FieldError("", "it has no facts about its image")
    result: AttackedFacts = checked_json(AttackedFacts, text)
    for name in ("label", "clean_prediction", "prediction"):
        if (label := getattr(result, name)) >= num_classes:
            raise FieldError(name, f"must be less than {num_classes}, got {label}")
    placement = result.placement
    if any(start + side > whole for start, side, whole in zip(placement[:2], placement[2:], size, strict=True)):
        raise FieldError("placement", f"{tuple(placement)} is not inside the image of {size[0]} x {size[1]} px")
    if result.id != file_id:
        raise FieldError("", f"it is the image {result.id} under the id {file_id}")
    if result.success != (result.prediction != result.label):
        raise FieldError(
            "success", f"{result.success} contradicts label {result.label} and prediction {result.prediction}"
        )
    return result
