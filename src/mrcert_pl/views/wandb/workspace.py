"""The W&B dashboard of a project as code: a saved workspace and a report of the same panels."""

import json
from typing import Any

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.views.wandb.charts import OVERVIEWS

TITLE = "Certified defenses"

# Placeholder of the entity in a definition that is only written.
ENTITY = "ENTITY"

# Width of a report, in the units of its panels.
_WIDTH = 24

_ACCURACIES = ("test/base", "test/clean", "test/certified", "test/round_trip")


def workspace(entity: str, project: str) -> Any:
    """The workspace of a project: ``wandb_workspaces.workspaces.Workspace``, saved by its ``save``.

    Raises:
        ConfigurationError: without the package ``wandb-workspaces``.
    """
    _, workspaces = _packages()
    sections = [workspaces.Section(name=title, panels=panels, is_open=True) for title, _, panels in _sections()]
    runs = workspaces.RunsetSettings(pinned_columns=[f"summary:{name}" for name in _ACCURACIES])
    return workspaces.Workspace(entity=entity, project=project, name=TITLE, sections=sections, runset_settings=runs)


def report(entity: str, project: str) -> Any:
    """The report of a project: ``wandb_workspaces.reports.v2.Report``, saved by its ``save``.

    Raises:
        ConfigurationError: without the package ``wandb-workspaces``.
    """
    reports, _ = _packages()
    blocks = [reports.TableOfContents()]
    for title, text, panels in _sections():
        _arrange(panels)
        # A set of runs without a project is that of the report's own project.
        blocks += [reports.H1(title), reports.P(text), reports.PanelGrid(runsets=[reports.Runset()], panels=panels)]
    return reports.Report(entity=entity, project=project, title=TITLE, description=_DESCRIPTION, blocks=blocks)


VIEWS = {"workspace": workspace, "report": report}


def default_entity() -> str:
    """The default user or team of the account."""
    import wandb

    return str(wandb.Api().default_entity)


def definition(view: Any) -> str:
    """The JSON that saving a workspace or a report would send."""
    content = view._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(content, indent=2) + "\n"


_DESCRIPTION = (
    "Accuracies of certified defenses against adversarial patches. base: the undefended model classifies the "
    "image correctly; clean: the defender does; certified: and provably still does for any one patch of that size; "
    "round trip: and every such patched image is itself certified again; certified detection: the model classifies the "
    "image correctly, and every patched version has this label or an alert."
)


def _sections() -> list[tuple[str, str, list[Any]]]:
    """Title, explanation and panels of each section."""
    panels, _ = _packages()
    by_defender, by_patch, by_dataset = (panels.Config(f"about.{name}") for name in ("defender", "patch", "dataset"))

    def bars(title: str, *metrics: str, groupby: Any = by_defender) -> Any:
        return panels.BarPlot(
            title=title,
            metrics=list(metrics),
            orientation="v",
            groupby=groupby,
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
        )

    def lines(title: str, *metrics: str, x: str = "trainer/global_step") -> Any:
        return panels.LinePlot(title=title, x=x, y=list(metrics))

    def chart(kind: str, title: str, key: str, **fields: str) -> Any:
        made = panels.CustomChart.from_table(f"{key}_table", chart_fields=fields, chart_strings={"title": title})
        made.chart_name = f"wandb/{kind}/v0"
        return made

    def series(title: str, key: str) -> Any:
        return chart("lineseries", title, key, step="step", lineKey="lineKey", lineVal="lineVal")

    def table(key: str) -> Any:
        return panels.WeavePanelSummaryTable(table_name=key, layout=panels.Layout(w=_WIDTH, h=12))

    return [
        (
            "Accuracy by defender and patch",
            "Means of the evaluations shown, with their smallest and largest; hide runs to compare like with like.",
            [
                bars("Accuracies by defender", *_ACCURACIES),
                bars("Certified accuracy by patch", "test/certified", groupby=by_patch),
                panels.ScatterPlot(
                    title="Certified accuracy against patch size",
                    x=panels.Config("patch"),
                    y=panels.SummaryMetric("test/certified"),
                ),
                panels.ScatterPlot(
                    title="Certified against clean accuracy",
                    x=panels.SummaryMetric("test/clean"),
                    y=panels.SummaryMetric("test/certified"),
                ),
                bars("Adversarial certified accuracy", "test/adversarial_certified"),
                bars("Mutants per image", "test/mutants_per_image"),
            ],
        ),
        (
            "Detection",
            "Detectors keep the label of the model; an alert on a clean image is a false one.",
            [
                bars(
                    "Detection and alerts by detector",
                    "test/certified_detection",
                    "test/certified_ratio",
                    "test/alerts",
                ),
                panels.ScatterPlot(
                    title="Certified detection against alerts",
                    x=panels.SummaryMetric("test/alerts"),
                    y=panels.SummaryMetric("test/certified_detection"),
                ),
            ],
        ),
        (
            "All results",
            "What mrcert dashboard found on disk when it was called.",
            [
                *(
                    panel
                    for accuracy, (prefix, title) in OVERVIEWS.items()
                    for panel in (
                        series(f"{title} by patch size", f"overview/{prefix}by_patch"),
                        chart("bar", title, f"overview/{prefix}by_defender", label="evaluation", value=accuracy),
                    )
                ),
                table("overview/results"),
            ],
        ),
        (
            "Cases and locations",
            "How well each step of the rule decides, and where on the image a patch can change the label.",
            [
                chart("bar", "Certified fraction by Case", "evaluation/cases", label="case", value="certified"),
                series("Fraction of images that a patch can't change, by location", "evaluation/locations"),
            ],
        ),
        (
            "Images",
            "Verdicts of every kind: switch on what is hidden from the witness, and where a patch has no effect.",
            [table("evaluation/verdicts"), table("attack/images")],
        ),
        (
            "Training",
            "Accuracies of validation images, certified by the defender of the training.",
            [
                lines("Certified accuracies", "val/certified_accuracy", "val/round_trip_accuracy"),
                lines("Accuracies", "val/base_accuracy", "val/clean_accuracy", "val/unmasked_accuracy"),
                lines("Losses", "train/loss", "val/loss"),
            ],
        ),
        (
            "Attacks and audits",
            "Broken labels and certificates must be none at all.",
            [
                bars(
                    "Base accuracy before and after the attack",
                    "attack/base_before",
                    "attack/base_after",
                    groupby=by_dataset,
                ),
                bars("Broken by an audit", "audit/labels_broken", "audit/certificates_broken"),
                bars(
                    "Largest difference of logits between runs",
                    "audit/delta_float32",
                    "audit/delta_bfloat16",
                    groupby=by_dataset,
                ),
            ],
        ),
        (
            "Throughput and system",
            "Speed, and what limits it.",
            [
                bars("Images per second", "test/images_per_second"),
                bars("Mutants per second", "test/mutants_per_second", "audit/mutants_per_second"),
                lines("Training images per second", "train/images_per_second"),
                lines("Processor", "system/cpu", "system/memory_percent", x="RelativeTime(Wall)"),
                lines("GPU", "system/gpu.0.gpu", "system/gpu.0.memoryAllocated", x="RelativeTime(Wall)"),
            ],
        ),
    ]


def _arrange(panels: list[Any]) -> None:
    """Put panels beside and below each other; a workspace arranges its own."""
    left = top = height = 0
    for panel in panels:
        if left + panel.layout.w > _WIDTH:
            left, top, height = 0, top + height, 0
        panel.layout.x, panel.layout.y = left, top
        left, height = left + panel.layout.w, max(height, panel.layout.h)


def _packages() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise ConfigurationError(
            f"a dashboard needs the package wandb-workspaces ({error}); get it with: pip install 'mrcert_pl[dashboard]'"
        ) from error
    return reports, workspaces
