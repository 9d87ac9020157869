"""Any masking defender on refined unions: small masks, whose labels large masks settle (docs/theory.md, section 15)."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.defenders.base import Defender
from mrcert_pl.defenders.detection import Detector
from mrcert_pl.defenders.masking import GridModel, MaskingDefender
from mrcert_pl.defenders.outputs import OutputLevel, Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.geometry.refined import RefinedUnions, checked_threshold, nested_strides
from mrcert_pl.mutants.queries import columns_to_query, further_columns
from mrcert_pl.mutants.refinement import refined
from mrcert_pl.mutants.table import PredictionTable

# More levels settle nothing more, and each has a lattice to enumerate.
_MOST_LEVELS = 8


class Refined(Defender[RefinedUnions]):
    """A defender that decides on the unions of small masks, most of which are labelled by a union of large masks.

    The label of a small union is that of the large one around it if the model is sure of it, and otherwise its own
    (Definition 15). Either depends on the pixels that the small union leaves visible alone, so every guarantee of the
    defender holds (Theorem 24). Name and settings are those of the defender.

    Args:
        defender: masking defender; no detector, whose alerts ask about single masks.
        coarser: strides of the larger masks in windows, in any order.
        threshold: confidence from which the label of a larger union stands, between 0 and 1.
        limit: number of labels below the largest masks from which no more are queried for certificates and maps: an
            image that is not certified by then counts as not certified (``Verdicts.limit_reached``). Labels of the
            defender are queried without limit, and so are whole tables. Default: no limit.

    Raises:
        ConfigurationError: for a defender without masks or a detector, no stride or more than eight, a stride or a
            limit that is not a positive whole number, a threshold out of range.
    """

    def __init__(
        self, defender: Defender[Any], coarser: Sequence[int], threshold: float = 0.5, limit: int | None = None
    ) -> None:
        if not isinstance(defender, MaskingDefender) or isinstance(defender, Detector):
            raise ConfigurationError(
                f"refine= is for defenders that recover a label with masks, and {defender.name} is none"
            )
        for number in [*coarser, *([] if limit is None else [limit])]:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigurationError(
                    f"the strides and the limit of refine= must be whole numbers of at least 1, got {number!r}"
                )
        checked_threshold(threshold)
        strides = sorted(set(coarser), reverse=True)
        if not strides:
            raise ConfigurationError("refine= needs the stride of at least one set of larger masks")
        if len(strides) > _MOST_LEVELS:
            raise ConfigurationError(f"refine= takes at most {_MOST_LEVELS} sets of larger masks, got {len(strides)}")
        self.defender = defender
        self.coarser = tuple(strides)
        self.threshold = threshold
        self.limit = limit
        self.name = defender.name
        self.round_trip_note = defender.round_trip_note
        self.settings = defender.settings
        self.output = defender.output

    @property
    def margin(self) -> float | None:
        """The margin of the defender."""
        return getattr(self.defender, "margin", None)

    @property
    def refinement(self) -> dict[str, Any]:
        """The settings of the command line that describe the refinement, for results."""
        return {"refine": list(self.coarser), "refine_threshold": self.threshold, "refine_limit": self.limit}

    def with_output(self, output: OutputLevel | str) -> "Refined":
        other = copy.copy(self)
        other.defender = self.defender.with_output(output)
        other.output = other.defender.output
        return other

    def with_threshold(self, threshold: float) -> "Refined":
        """Return the same defender with another threshold."""
        other = copy.copy(self)
        other.threshold = threshold
        return other

    def mutants(self, model: object, patch: PatchSpec, stride: int | tuple[int, int] = 1) -> RefinedUnions:
        if not isinstance(stride, int) or any(coarse <= stride for coarse in self.coarser):
            raise ConfigurationError(
                f"refine= needs strides above stride={stride}, got {list(self.coarser)}; for example stride=2 refine=4"
            )
        levels = [self.defender.mutants(model, patch, each) for each in (*self.coarser, stride)]
        try:
            return RefinedUnions(levels, self.threshold)
        except ConfigurationError as error:
            if not isinstance(model, GridModel) or "lies inside none" not in str(error):
                raise
            raise ConfigurationError(
                f"the masks of stride {stride} do not nest in those of refine={list(self.coarser)}; "
                f"they do in those of: {_advice(model, patch, stride)}"
            ) from error

    def next_queries(self, table: PredictionTable[RefinedUnions]) -> Bool[Tensor, "image mutant"]:
        self._check_mutants(table)
        labels = self.decided_on(table)
        wanted = self.defender.next_queries(labels)
        if self.limit is not None and self.output not in (OutputLevel.TABLE, OutputLevel.LABEL):
            beyond = further_columns(table) >= self.limit
            if beyond.any():
                label_only = self.defender.with_output(OutputLevel.LABEL).next_queries(labels.rows(beyond))
                wanted[beyond] = label_only
        return columns_to_query(table, wanted)

    def decide_complete(self, table: PredictionTable[RefinedUnions]) -> Verdicts:
        labels = self.decided_on(table)
        verdicts = self.defender.decide_complete(labels)
        if self.limit is None:
            return verdicts
        reached = further_columns(table) >= self.limit
        if reached.any():
            reached[reached.clone()] = self.defender.next_queries(labels.rows(reached)).any(1)
        return replace(verdicts, limit_reached=reached)

    def decided_on(self, table: PredictionTable[RefinedUnions]) -> PredictionTable[UnionLattice]:
        return refined(table, self.margin or 0.0)

    def _check_mutants(self, table: PredictionTable[RefinedUnions]) -> None:
        mutants, levels = table.mutants, len(self.coarser) + 1
        if not isinstance(mutants, RefinedUnions) or (len(mutants.levels), mutants.threshold) != (
            levels,
            self.threshold,
        ):
            raise ConfigurationError(
                f"refine={list(self.coarser)} decides on refined unions of {levels} levels with the threshold "
                f"{self.threshold}; the table has {mutants!r}"
            )


def lattice_of(mutants: object) -> UnionLattice | None:
    """Return the unions that a masking defender decides on; ``None`` for mutants of another kind."""
    finest = mutants.finest if isinstance(mutants, RefinedUnions) else mutants
    return finest if isinstance(finest, UnionLattice) else None


def _advice(model: GridModel, patch: PatchSpec, stride: int) -> str:
    masks = {}
    for other in range(stride, stride + 12):
        try:
            masks[other] = model.covering_masks(patch, other)
        except ConfigurationError:
            continue
    return ", ".join(map(str, nested_strides(masks, stride))) or "none"


__all__ = ["Refined", "lattice_of"]
