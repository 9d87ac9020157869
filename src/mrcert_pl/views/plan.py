"""A plan on the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from mrcert_pl.tasks.plan import Plan, PlanRow
from mrcert_pl.views.tables import show_table


def show_plan(
    plan: Plan,
    title: str,
    patches: int,
    seconds: float | None,
    gflops: float | None,
    console: Console | None = None,
) -> None:
    """Print the configurations, and the one that hides least within the budget.

    Args:
        plan: the configurations.
        title: data set, model and patch.
        patches: number of patches in total.
        seconds: largest duration per image; ``None``: no limit.
        gflops: largest number of operations per image in 10^9; ``None``: no limit.
        console: where to print.
    """
    console = console or Console()
    _show_rows(plan, title, console)
    for line in _explained(plan, patches):
        console.print(line, style="dim", highlight=False, markup=False)
    limits = [f"{limit:g} {unit}" for limit, unit in ((seconds, "s"), (gflops, "GFLOPs")) if limit is not None]
    budget = " and ".join(limits) or "no limit"
    if plan.best is None:
        cheapest = plan.cheapest
        line = f"Nothing stays within {budget} per image; {_label(cheapest)} takes least, {_cost(cheapest)}."
    else:
        line = f"Hides least within {budget} per image: {_label(plan.best)}, {_cost(plan.best)}."
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def _show_rows(plan: Plan, title: str, console: Console) -> None:
    names = dict.fromkeys(name for row in plan.rows for name in row.settings)
    headings = [name.removeprefix("model.").replace("_", " ") for name in names]
    rows, styles = [], []
    for row in plan.rows:
        numbers = ["-"] * 5
        if not row.problem:
            numbers = [
                str(row.masks),
                " / ".join(f"{number:,}" for number in row.unions),
                " / ".join(f"{100 * fraction:.0f}" for fraction in row.visible),
                _list(row.gflops) or "-",
                _list(row.seconds),
            ]
        settings = [str(row.settings.get(name, "")).replace(" ", "") for name in names]
        rows.append([*settings, *numbers, "best" if row is plan.best else ""])
        styles.append("dim" if row.problem else "bold" if row is plan.best else None)
    header = [*headings, "masks", "unions", "visible, %", "GFLOPs", "seconds", ""]
    show_table(console, title, header, rows, len(headings), styles)


def _explained(plan: Plan, patches: int) -> Iterator[str]:
    """Yield why configurations cannot work, and what the numbers are."""
    for row in plan.rows:
        if row.problem:
            yield f"{_label(row)}: {row.problem}"
    orders = " / ".join(str(order) for order in range(1, 2 * patches + 1))
    # One patch needs order 2 for its certificate, and has no round trip.
    steps = "detection / verdict / certificate" + (" / round trip" if patches > 1 else "")
    yield f"unions, and what they leave visible: by order, {orders}"
    yield (
        f"GFLOPs and seconds: for {steps} while all labels agree; an image on which they do not may need the last "
        "one for its verdict, detection of one patch (defender=patchcensor) never more than the first"
    )
    if any("refine" in row.settings for row in plan.rows):
        yield (
            "refine: GFLOPs and seconds while the model is sure of all unions of the largest masks; more on other "
            "images, so none is recommended"
        )


def _list(values: Sequence[float]) -> str:
    return " / ".join(map(_short, values))


def _short(value: float) -> str:
    """Return a number with two or three significant digits and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _label(row: PlanRow) -> str:
    named = " ".join(f"{name.removeprefix('model.')} {value}" for name, value in row.settings.items())
    return named or "this configuration"


def _cost(row: PlanRow) -> str:
    operations = f" and {_short(row.gflops[-1])} GFLOPs" if row.gflops else ""
    return f"{_short(row.seconds[-1])} s{operations}"
