"""The workspace and the report: what would be sent, and that its panels show what runs log."""

import json
import sys
from itertools import combinations
from typing import Any

import pytest

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.views.wandb import workspace as views

pytest.importorskip("wandb_workspaces")
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style")


@pytest.fixture(scope="module")
def workspace() -> dict[str, Any]:
    return json.loads(views.definition(views.workspace("team", "project")))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return json.loads(views.definition(views.report("team", "project")))


def panels(workspace: dict[str, Any]) -> list[dict[str, Any]]:
    sections = workspace["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def test_a_workspace_shows_accuracies_by_defender_and_patch(workspace: dict[str, Any]) -> None:
    assert (workspace["entity"], workspace["project"]) == ("team", "project")
    bars = {p["config"]["chartTitle"]: p["config"] for p in panels(workspace) if p["viewType"] == "Bar Chart"}
    assert bars["Accuracies by defender"]["groupBy"] == "about.value.defender"
    assert bars["Certified accuracy by patch"]["groupBy"] == "about.value.patch"
    assert "test/certified" in bars["Accuracies by defender"]["metrics"]
    tables = {field["args"][0]["value"] for field in summary_tables(workspace)}
    assert tables >= {"evaluation/cases_table", "evaluation/locations_table", "overview/by_patch_table"}
    assert tables >= {"overview/detection_by_patch_table", "overview/detection_by_defender_table"}
    assert "test/alerts" in bars["Detection and alerts by detector"]["metrics"]
    assert '"evaluation/verdicts"' in json.dumps(workspace)


def summary_tables(workspace: dict[str, Any]) -> list[dict[str, Any]]:
    charts = [panel for panel in panels(workspace) if panel["viewType"] == "Vega2"]
    fields = [field for chart in charts for field in chart["config"]["userQuery"]["queryFields"][0]["fields"]]
    return [field for field in fields if field["name"] == "summaryTable"]


def test_the_report_has_the_same_panels_and_none_lies_on_another(
    workspace: dict[str, Any], report: dict[str, Any]
) -> None:
    grids = [block["metadata"] for block in report["spec"]["blocks"] if block["type"] == "panel-grid"]
    per_grid = [grid["panelBankSectionConfig"]["panels"] for grid in grids]
    assert [p["viewType"] for grid in per_grid for p in grid] == [p["viewType"] for p in panels(workspace)]
    for grid in per_grid:
        for one, other in combinations([panel["layout"] for panel in grid], 2):
            apart = [one[a] + one[s] <= other[a] or other[a] + other[s] <= one[a] for a, s in (("x", "w"), ("y", "h"))]
            assert any(apart)


def test_without_its_package_an_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'mrcert_pl\[dashboard\]'"):
        views.workspace("team", "project")
