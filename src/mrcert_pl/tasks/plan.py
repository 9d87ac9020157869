"""Costs and visible areas of masks, before anything is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from mrcert_pl.errors import ConfigurationError, MRCertError
from mrcert_pl.geometry import PatchSpec, UnionLattice
from mrcert_pl.geometry.patch import Shape
from mrcert_pl.geometry.refined import check_nested
from mrcert_pl.guard.base_model import device_named
from mrcert_pl.models.checkpoints import read_checkpoint
from mrcert_pl.models.flops import TableFlops, window_fractions
from mrcert_pl.models.protocols import BaseModel, GridModel
from mrcert_pl.models.rebuild import settings_of
from mrcert_pl.mutants.stopwatch import Stopwatch
from mrcert_pl.tasks.checks import check_number
from mrcert_pl.tasks.settings import DatasetSettings, ModelSettings
from mrcert_pl.tasks.subject import check_agreement, free_settings


@dataclass(frozen=True)
class PlanSettings:
    """Settings of :func:`plan`.

    Attributes:
        dataset: data set, for the number of classes.
        model: base model; its weights are random.
        checkpoint: checkpoint whose model and number of classes are taken instead.
        required: arguments of the model, compared with those of the checkpoint.
        patch: patch to defend against.
        patches: total number of patches, before and after certification.
        variants: values to compare, by argument of the model.
        strides: strides to compare; empty for a model without a stride.
        refine: strides of larger masks; each stride below them is also compared with ``refine=``.
        seconds: maximum seconds per image on this machine; default: no limit.
        gflops: maximum operations per image in 10^9; default: no limit.
        token_budget: token budget per batch; default: derived from free device memory.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: seed of the random weights.
        on_progress: callback with the number of finished measurements and their total.
    """

    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    checkpoint: Path | None = None
    required: Mapping[str, Any] = field(default_factory=dict)
    patch: Shape = 16
    patches: int = 2
    variants: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    strides: Sequence[int] = (1, 2, 3, 4, 5, 6)
    refine: Sequence[int] = ()
    seconds: float | None = None
    gflops: float | None = None
    token_budget: int | None = None
    device: str = "auto"
    seed: int = 0
    on_progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        check_number("patches", self.patches, 1)
        check_number("seed", self.seed, 0)
        PatchSpec(self.patch)
        for name, strides in (("strides", self.strides), ("refine", self.refine)):
            _check_list(name, strides)
            for stride in strides:
                check_number(name, stride, 1)
        for name, values in self.variants.items():
            _check_list(f"values of model.{name}", values)
            if not values:
                raise ConfigurationError(f"values of model.{name} must be at least one, got none")
            for value in values:
                _check_variant(name, value)
        check_number("token_budget", self.token_budget, 1, optional=True)
        check_number("budget.seconds", self.seconds, 0, whole=False, optional=True)
        check_number("budget.gflops", self.gflops, 0, whole=False, optional=True)


@dataclass(frozen=True)
class PlanRow:
    """One configuration and its cost, or the reason why it cannot work.

    Attributes:
        settings: distinguishing settings, as overrides of the commands.
        masks: number of masks.
        unions: number of unions by order, 1 to ``2 * patches``.
        visible: mean visible fraction of the image by order, over the unions of exactly this order.
        gflops: operations in 10^9 per image, encoding included: for the detection of one patch, and for the labels of
            all unions of order N, N + 1 and 2N; empty for a model that does not count them. With ``refine=``, those of
            the closures: the least that an image can take.
        seconds: the same in seconds.
        problem: why it cannot work; empty if it does.
    """

    settings: Mapping[str, Any]
    masks: int = 0
    unions: Sequence[int] = ()
    visible: Sequence[float] = ()
    gflops: Sequence[float] = ()
    seconds: Sequence[float] = ()
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """Result of :func:`plan`.

    Attributes:
        rows: the configurations.
        best: configuration within the budget with the largest visible fraction at the highest order; none with
            ``refine=``, whose cost depends on the weights.
        cheapest: configuration with the lowest cost.
    """

    rows: Sequence[PlanRow]
    best: PlanRow | None
    cheapest: PlanRow


def plan(settings: PlanSettings) -> Plan:
    """Compare masks for a model and a patch by cost and visible fraction.

    Raises:
        CheckpointError: for a missing, damaged or foreign checkpoint; a checkpoint that contradicts the settings.
        ConfigurationError: if no configuration works.
    """
    model, classes = _model(settings)
    rows = [row for variant in _variants(settings) for row in _rows(settings, model, classes, variant)]
    working = [row for row in rows if not row.problem]
    if not working:
        reasons = "".join(f"\n  {row.problem}" for row in rows[:3])
        raise ConfigurationError(
            f"no configuration works:{reasons}\ngive a smaller patch, fewer patches or smaller windows"
        )
    affordable = [
        row
        for row in working
        if "refine" not in row.settings
        and (settings.seconds is None or row.seconds[-1] <= settings.seconds)
        and (settings.gflops is None or (bool(row.gflops) and row.gflops[-1] <= settings.gflops))
    ]
    best = max(affordable, key=lambda row: row.visible[-1], default=None)
    return Plan(rows, best, min(working, key=lambda row: row.seconds[-1]))


def _check_list(name: str, values: object) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigurationError(f"{name} must be a list, got {values!r}")


def _check_variant(name: str, value: object) -> None:
    """Validate a value of an argument that the base models of the package have."""
    if name == "window":
        if not isinstance(value, Sequence) or len(value) != 2 or not all(type(side) is int for side in value):
            raise ConfigurationError(
                f"model.window must be a height and a width in tokens, such as [14,1], got {value!r}"
            )
    elif name in ("split", "masks_per_axis"):
        check_number(f"model.{name}", value, 0)


def _model(settings: PlanSettings) -> tuple[ModelSettings, int]:
    """Return the model without variants and its number of classes."""
    if settings.checkpoint is None:
        return settings.model, len(settings.dataset.describe().classes)
    checkpoint = read_checkpoint(settings.checkpoint)
    check_agreement(checkpoint, settings.required)
    kind: Any
    kind, config = settings_of(checkpoint.origin, checkpoint.path, settings.model.build)
    own = {name: value for name, value in config.items() if name != "num_classes"}
    return ModelSettings(settings.model.name, {**own, **free_settings(settings.required)}, kind), config["num_classes"]


def _variants(settings: PlanSettings) -> list[dict[str, Any]]:
    names, choices = list(settings.variants), settings.variants.values()
    return [dict(zip(names, values, strict=True)) for values in product(*choices)]


def _rows(settings: PlanSettings, unvaried: ModelSettings, classes: int, variant: Mapping[str, Any]) -> list[PlanRow]:
    """Return the rows of one model: one for each stride."""
    named = {f"model.{name}": value for name, value in variant.items()}
    varied = replace(unvaried, arguments={**unvaried.arguments, **variant})
    torch.manual_seed(settings.seed)
    try:
        model: BaseModel = varied.untrained().make(classes).eval()
    except MRCertError as error:
        if not variant:
            raise
        return [PlanRow(named, problem=_first_clause(str(error)))]
    if not isinstance(model, GridModel):
        raise ConfigurationError(f"model={settings.model.name} votes instead of hiding masks: there is nothing to plan")
    patch = PatchSpec(settings.patch, count=settings.patches)
    unions: dict[int, UnionLattice] = {}
    # Of refined rows, the unions of the largest masks.
    settled: dict[int, UnionLattice] = {}
    rows = [PlanRow({**named, **own}) for own in _strides(settings)]
    for number, row in enumerate(rows):
        try:
            stride = row.settings.get("stride", 1)
            unions[number] = _unions(model, patch, stride)
            if "refine" in row.settings:
                levels = [_unions(model, patch, larger) for larger in settings.refine]
                for level in levels:
                    check_nested(unions[number].masks, level.masks)
                settled[number] = max(levels, key=lambda level: -len(level))
        except ConfigurationError as error:
            unions.pop(number, None)
            rows[number] = PlanRow(row.settings, problem=_first_clause(str(error)))
    if not unions:
        return rows
    hidden = torch.cat([found.hidden for found in (*unions.values(), *settled.values())])
    device = device_named(settings.device)
    watch = Stopwatch(model.to(device), model.image_px, hidden, device, settings.token_budget, settings.on_progress)
    for number, lattice in unions.items():
        rows[number] = _priced(rows[number], lattice, settled.get(number, lattice), model, watch, settings.patches)
    return rows


def _strides(settings: PlanSettings) -> list[dict[str, Any]]:
    """Return the settings of the masks of each row: every stride, and the refined ones."""
    strides: list[dict[str, Any]] = [{"stride": stride} for stride in settings.strides] or [{}]
    if not settings.refine:
        return strides
    below = [own for own in strides if own.get("stride", 1) < min(settings.refine)]
    refine = settings.refine[0] if len(settings.refine) == 1 else list(settings.refine)
    return [*strides, *({**own, "refine": refine} for own in below)]


def _unions(model: GridModel, patch: PatchSpec, stride: int) -> UnionLattice:
    """Return the unions that round-trip certification needs."""
    return UnionLattice(model.covering_masks(patch, stride), model.windows, 2 * patch.count)


def _priced(
    row: PlanRow, lattice: UnionLattice, labelled: UnionLattice, model: GridModel, watch: Stopwatch, patches: int
) -> PlanRow:
    """Return a row with its unions and the cost of those that are labelled while all labels agree."""
    orders = sorted({patches, patches + 1, 2 * patches})
    # Detection labels single masks, and is never refined.
    hidden = [lattice.hidden[[0, *lattice.maximal(1).tolist()]]]
    hidden += [labelled.hidden[: labelled.size(order)] for order in orders]
    flops = [TableFlops.known(model, rows) for rows in hidden]
    fractions = (~lattice.hidden).double() @ window_fractions(model.borders)
    # With few masks the highest orders may have no union of their own.
    found = range(1, int(lattice.orders.max()) + 1)
    return PlanRow(
        row.settings,
        masks=len(lattice.masks),
        unions=[lattice.size(order) - 1 for order in range(1, lattice.order + 1)],
        visible=[float(fractions[lattice.orders == order].mean()) for order in found],
        gflops=[float(each.encoding + each.mutants.sum()) / 1e9 for each in flops if each is not None],
        seconds=[watch.encoding + float(watch.seconds(rows).sum()) for rows in hidden],
    )


def _first_clause(message: str) -> str:
    """Return the message without its advice; the other rows replace the advice."""
    return message.split(";")[0]
