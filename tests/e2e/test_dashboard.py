"""The dashboard for Grafana: every query of it has an answer from a recorder that ran."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet import Fleet

FILE = Path(__file__).resolve().parents[2] / "deploy" / "dashboards" / "edge.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in PANELS
    for target in panel["targets"]
]
# As Grafana replaces them, but for the hours in which this recorder has not lived.
VARIABLES = {
    "$instance": ".*",
    "$device": ".*",
    "$__rate_interval": "2m",
    "[1h]": "[2m]",
    "[24h]": "[2m]",
}


@pytest.mark.promtool
@pytest.mark.broker
@pytest.mark.mount
@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
def test_every_query_has_an_answer(fleet: Fleet, name: str, query: str) -> None:
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    assert "$" not in query
    answer = fleet.prometheus.asked(query, at_s=fleet.at_s)
    assert [series for series in answer if series["value"][1] != "NaN"], query


def test_every_metric_of_a_legend_is_a_label_of_the_answer() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                grouped = re.findall(r"by \(([\w, ]+)\)", target["expr"])
                assert not grouped or any(label in group.split(", ") for group in grouped), (
                    panel["title"],
                    label,
                )


def test_grafana_10_and_later_can_import_it() -> None:
    assert DASHBOARD["schemaVersion"] >= 38
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert {"device", "instance"} <= set(variables)
    assert "id" not in DASHBOARD  # an import is a new one
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in PANELS:
        assert len(panel["description"].split()) > 3
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
