"""The shipped alerts: each fires on a recorder that has the trouble, says whose it is and what to do, and is silent else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.fleet import ALERTS, Fleet, alerts

pytestmark = [pytest.mark.promtool, pytest.mark.broker, pytest.mark.mount]


def test_promtool_takes_the_rules_and_the_scrape_configuration() -> None:
    for kind, file in (("rules", ALERTS), ("config", ALERTS.with_name("prometheus.yml"))):
        checked = subprocess.run(["promtool", "check", kind, str(file)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "SUCCESS" in checked.stdout


def test_every_alert_fires_on_a_recorder_in_trouble(fleet: Fleet) -> None:
    assert set(fleet.fired) == set(alerts())
    assert fleet.ailing == {}


def test_a_recorder_without_trouble_is_silent(fleet: Fleet) -> None:
    assert set(fleet.calm) <= {"EdgeClockUnsynchronised"}  # its clock was not set yet


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_which_recorder_what_and_what_to_do(fleet: Fleet, name: str) -> None:
    for fired in fleet.fired[name]:
        assert fired["labels"]["device"] == "pond"
        assert fired["labels"]["severity"] in ("critical", "warning", "info")
        told = fired["annotations"]
        assert set(told) == {"summary", "description", "runbook"}
        assert "pond" in told["description"]
        assert "<no value>" not in told["description"]
        assert "%!" not in told["description"]
        assert len(told["runbook"].split()) > 8


def test_the_shipped_thresholds_and_durations(tmp_path: Path) -> None:
    """By `promtool test rules`, in a day that takes no time."""
    cases = Path(__file__).with_name("alerts_test.yml")
    (tmp_path / "edge-alerts.yml").write_bytes(ALERTS.read_bytes())
    (tmp_path / "cases.yml").write_bytes(cases.read_bytes())
    checked = subprocess.run(["promtool", "test", "rules", "cases.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for name in alerts():
        assert f"alertname: {name}\n" in cases.read_text(encoding="utf-8"), f"{name} has no case"
