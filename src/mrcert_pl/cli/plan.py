"""``mrcert plan``: what masks cost and how much they leave to see, before anything is trained."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from mrcert_pl.cli.app import command, explain
from mrcert_pl.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

    from mrcert_pl.geometry import UnionLattice

_UNITS = {"seconds": "s", "gflops": "GFLOPs"}
# What can be compared, and the setting of the model that it changes.
_CHOICES = {"windows": "window", "splits": "split", "masks_per_axis": "masks_per_axis"}


@dataclass
class Row:
    """One configuration and its price, or the reason why it can't work.

    Attributes:
        settings: what distinguishes it, as overrides of the commands.
        lattice: its unions.
        visible: mean visible share of the image by order, over the unions that need so many masks.
        gflops: per image for the labels of all unions of order N, N + 1 and 2N, encoding included.
        seconds: the same in time.
        problem: why it can't work.
    """

    settings: dict[str, Any]
    lattice: "UnionLattice | None" = None
    visible: tuple[float, ...] = ()
    gflops: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    problem: str = ""


@command("plan")
def main(cfg: DictConfig) -> None:
    """Print a table of configurations, and the one that hides least within the budget."""
    from rich.console import Console

    from mrcert_pl.cli.build import command_line

    rows = [row for variant in _variants(cfg) for row in _rows(cfg, variant)]
    best = recommend(rows, cfg.budget.seconds, cfg.budget.gflops)
    console = Console()
    console.print(_table(cfg, rows, best))
    limits = [f"{cfg.budget[unit]:g} {name}" for unit, name in _UNITS.items() if cfg.budget[unit] is not None]
    budget = " and ".join(limits) or "no limit"
    if best is None:
        working = [row for row in rows if not row.problem]
        if not working:
            raise ConfigurationError("no configuration works; take a smaller patch, fewer patches or smaller windows")
        cheapest = min(working, key=lambda row: row.seconds[-1])
        console.print(f"Nothing stays within {budget} per image; {_label(cheapest)} takes least, {_price(cheapest)}.")
        return
    settings = [f"{name}={str(value).replace(' ', '')}" for name, value in best.settings.items()]
    line = shlex.join([*shlex.split(command_line(cfg, "train.py")), *settings])
    console.print(f"Hides least within {budget} per image: {_label(best)}, {_price(best)}.\n{line}", soft_wrap=True)


def recommend(rows: list[Row], seconds: float | None, gflops: float | None) -> Row | None:
    """The configuration that hides least with its unions of the highest order, of those within the budget."""
    affordable = [
        row
        for row in rows
        if not row.problem
        and (seconds is None or row.seconds[-1] <= seconds)
        and (gflops is None or row.gflops[-1] <= gflops)
    ]
    return max(affordable, key=lambda row: row.visible[-1], default=None)


def _variants(cfg: DictConfig) -> list[dict[str, Any]]:
    """Settings of the model to compare, by their names."""
    asked: dict[str, Any] = {
        setting: OmegaConf.to_container(cfg[choice])
        for choice, setting in _CHOICES.items()
        if cfg[choice] is not None and setting in cfg.model
    }
    return [dict(zip(asked, values, strict=True)) for values in product(*asked.values())]


def _rows(cfg: DictConfig, variant: dict[str, Any]) -> Iterator[Row]:
    """The rows of one model: one for each stride."""
    import torch

    from mrcert_pl.cli.build import build_model, patch_of
    from mrcert_pl.cli.stopwatch import Stopwatch
    from mrcert_pl.geometry import UnionLattice

    patch = patch_of(cfg)
    settings = {f"model.{name}": value for name, value in variant.items()}
    try:
        changed: Any = OmegaConf.merge(cfg, {"model": variant})
        model: Any = build_model(changed, start=False).eval()
    except InstantiationException as error:
        if not variant:
            raise
        yield Row(settings, problem=_first_clause(explain(error)))
        return
    if not hasattr(model, "covering_masks"):
        raise ConfigurationError(f"model={cfg.model.name} votes instead of hiding masks: there is nothing to plan")
    strides = [{}] if "masks_per_axis" in cfg.model else [{"stride": stride} for stride in cfg.strides]
    rows = [Row({**settings, **stride}) for stride in strides]
    for row in rows:
        try:
            masks = model.covering_masks(patch, row.settings.get("stride", 1))
            row.lattice = UnionLattice(masks, model.windows, 2 * cfg.patches)
        except ConfigurationError as error:
            row.problem = _first_clause(str(error))
    working = [row.lattice for row in rows if row.lattice is not None]
    if not working:
        yield from rows
        return
    title = " ".join([cfg.model.name, *(f"{name} {value}" for name, value in variant.items())])
    torch.manual_seed(cfg.seed)
    watch = Stopwatch(model, torch.cat([lattice.hidden for lattice in working]), cfg.token_budget, cfg.device, title)
    for row in rows:
        if row.lattice is not None:
            _price_unions(row, model, watch, cfg.patches)
        yield row


def _price_unions(row: Row, model: Any, watch: Any, patches: int) -> None:
    import torch

    from mrcert_pl.models.flops import TableFlops, window_fractions

    lattice = row.lattice
    assert lattice is not None
    sizes = torch.tensor([lattice.size(order) for order in sorted({patches, patches + 1, 2 * patches})])
    evaluated = torch.arange(len(lattice)) < sizes[:, None]
    shares = (~lattice.hidden).double() @ window_fractions(model.borders)
    seconds = watch.seconds(lattice.hidden)
    # A few masks may have no union that needs more of them.
    orders = range(1, int(lattice.orders.max()) + 1)
    row.visible = tuple(float(shares[lattice.orders == order].mean()) for order in orders)
    row.gflops = tuple((TableFlops(model, lattice.hidden).per_image(evaluated) / 1e9).tolist())
    row.seconds = tuple(float(watch.encoding + seconds[:size].sum()) for size in sizes)


def _table(cfg: DictConfig, rows: list[Row], best: Row | None) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    n = cfg.patches
    orders = " / ".join(str(order) for order in range(1, 2 * n + 1))
    # One patch needs order 2 for its certificate, and has no round trip.
    steps = "verdict / certificate" + (" / round trip" if n > 1 else "")
    table = Table(
        title=f"{cfg.dataset.name}, {cfg.model.name} ({cfg.model.backbone}), patch {cfg.patch}, {n} in all; per image",
        caption=f"unions, and what they leave visible: by order, {orders}\nGFLOPs and seconds: for a {steps} while all "
        "labels agree; an image on which they don't may need the last one for its verdict",
        box=SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
    )
    names = dict.fromkeys(name for row in rows for name in row.settings)
    headings = [name.removeprefix("model.").replace("_", " ") for name in names]
    for heading in [*headings, "masks", "unions", "visible, %", "GFLOPs", "seconds"]:
        table.add_column(heading, justify="right")
    table.add_column("", min_width=24)
    for row in rows:
        cells = [str(row.settings.get(name, "")).replace(" ", "") for name in names]
        if row.lattice is None:
            table.add_row(*cells, *5 * ["-"], row.problem, style="dim")
            continue
        unions = [f"{row.lattice.size(order) - 1:,}" for order in range(1, row.lattice.order + 1)]
        table.add_row(
            *cells,
            str(len(row.lattice.masks)),
            " / ".join(unions),
            " / ".join(f"{100 * share:.0f}" for share in row.visible),
            " / ".join(_short(value) for value in row.gflops),
            " / ".join(_short(value) for value in row.seconds),
            "recommended" if row is best else "",
            style="bold" if row is best else None,
        )
    return table


def _short(value: float) -> str:
    """Two or three significant digits, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _first_clause(message: str | None) -> str:
    """What is wrong, without the advice: the other rows are that."""
    return str(message).split(";")[0]


def _label(row: Row) -> str:
    return " ".join(f"{name.removeprefix('model.')} {value}" for name, value in row.settings.items())


def _price(row: Row) -> str:
    return f"{_short(row.seconds[-1])} s and {_short(row.gflops[-1])} GFLOPs"


if __name__ == "__main__":
    main()
