"""The model card of a guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import timm

from mrcert_pl.defenders import Detector
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.guard.verdict import meaning_of, meaning_of_silence

if TYPE_CHECKING:
    from mrcert_pl.guard.guard import Guard


@dataclass(frozen=True)
class MeasuredAccuracy:
    """An accuracy that was measured on a number of images.

    Attributes:
        name: Name of the accuracy, e.g. ``certified accuracy on ImageNette val``.
        count: Number of images that count.
        n: Number of images.

    Raises:
        ConfigurationError: for a count that is not between 0 and ``n``, or without images.
    """

    name: str
    count: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.n or self.n < 1:
            raise ConfigurationError(
                f"{self.name}: count must be from 0 to n, n at least 1; got {self.count} of {self.n}"
            )

    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval (E. B. Wilson, 1927)."""
        # Loaded for model cards alone: a guard does not wait for it.
        from scipy.stats import binomtest

        interval = binomtest(self.count, self.n).proportion_ci(0.95, method="wilson")
        return float(interval.low), float(interval.high)


def model_card(
    guard: "Guard",
    results: Sequence[MeasuredAccuracy] = (),
    training: str | None = None,
    repo_id: str = "owner/name",
) -> str:
    """Markdown of the model card: use, results, patch, training, licence, meaning of a certificate.

    Args:
        guard: The guard.
        results: Measured accuracies.
        training: Description of the training.
        repo_id: Name of the repository, for the example.
    """
    from huggingface_hub import ModelCardData

    model: Any = guard.model
    backbone = str(model.config.get("backbone", type(model).__name__))
    licence, stated = _licence(guard, backbone)
    header = ModelCardData(
        library_name="mrcert_pl",
        pipeline_tag="image-classification",
        license=licence or "other",
        tags=["adversarial-patch", "certified-robustness", "vision"],
    ).to_yaml()
    shapes = " or ".join(f"{height} x {width}" for height, width in guard.patch.shapes_px(model.image_px))
    rows = [
        f"| {_cell(result.name)} | {100 * result.count / result.n:.1f} % | {result.count} of {result.n} | "
        f"{100 * low:.1f} to {100 * high:.1f} % |"
        for result in results
        for low, high in [result.interval()]
    ]
    table = ["| accuracy | value | images | 95 % interval |", "| --- | --- | --- | --- |", *rows]
    if isinstance(guard.defender, Detector):
        kind = "detection of"
        silence = meaning_of_silence(guard.patch, model.image_px, guard.defender.at_once)
        meaning = f"A certified label without an alert states: {silence}."
    else:
        kind = "recovery from"
        meaning = f"A certificate for n patches states: {meaning_of(None, guard.patch, model.image_px)}."
    classes = ", ".join(map(_cell, guard.class_names[:20])) + (", ..." if len(guard.class_names) > 20 else "")
    return "\n".join(
        [
            f"---\n{header}\n---",
            f"\n# {type(model).__name__} on {_cell(backbone)}, certified against patches of {shapes} px\n",
            f"An image classifier with certified {kind} adversarial patches (mrcert_pl).\n",
            "```python\nfrom mrcert_pl import Guard\n",
            f'guard = Guard.from_pretrained("{repo_id}")\n(verdict,) = guard("photo.jpg")\n```\n',
            "| | |\n| --- | --- |",
            f"| defender | {_cell(_defender(guard))} |",
            f"| patch | {shapes} px on images of {model.image_px[0]} x {model.image_px[1]} px |",
            f"| classes | {len(guard.class_names)}: {classes} |",
            f"| images | {'centre crop' if guard.preprocessing.resize == 'crop' else 'whole image'}, resized |",
            f"| training | {_cell(training or 'not stated')} |",
            f"| licence of the backbone's weights | {stated} |\n",
            "## Results\n",
            *(table if rows else ["No results are stated."]),
            "\n## Meaning of a certificate\n",
            f"{meaning} A patch on the photo before it was resized covers a few pixels more at its border.",
            "",
        ]
    )


def _defender(guard: "Guard") -> str:
    name = guard.defender.name
    if not isinstance(guard.defender, Refined):
        return name
    return f"{name}, small masks below those of stride {', '.join(map(str, guard.defender.coarser))}"


def _licence(guard: "Guard", backbone: str) -> tuple[str | None, str]:
    """Licence that timm states for the weights that the training started from, ``None`` if unknown, and its row."""
    if guard.start == "random":
        return None, "none: the training started from random weights"
    try:
        known = timm.models.get_pretrained_cfg(backbone)
    except RuntimeError:
        known = None
    licence = known.license if known else None
    if guard.start == "file":
        tag = f"; that of timm's weights is {licence}" if licence else ""
        return None, f"that of the file that the training started from{tag}"
    return licence, licence or "not known: check where the weights come from"


def _cell(text: str) -> str:
    """Text in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
