"""The shipped alerts: each fires on a recorder with its trouble, and is silent otherwise.

It says whose trouble it is and what to do.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fleet import ALERTS, Fleet, alerts

pytestmark = [pytest.mark.promtool, pytest.mark.broker, pytest.mark.mount]


def test_promtool_takes_the_rules_and_the_scrape_configuration() -> None:
    for kind, file in (("rules", ALERTS), ("config", ALERTS.with_name("prometheus.yml"))):
        checked = subprocess.run(
            ["promtool", "check", kind, str(file)], capture_output=True, text=True, check=False
        )
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
        annotations = fired["annotations"]
        assert set(annotations) == {"summary", "description", "runbook"}
        assert "pond" in annotations["description"]
        assert "<no value>" not in annotations["description"]
        assert "%!" not in annotations["description"]
        assert len(annotations["runbook"].split()) > 8


WELL = {
    "up": "1x500",
    'edge_info{device="pond",bundle="b"}': "1x500",
    'edge_audio_seconds_total{fate="heard"}': "0+60x500",
    'edge_audio_seconds_total{fate="lost"}': "0x500",
    'edge_microphone_fault{fault="dead"}': "0x500",
    "edge_outbox_rows": "3x500",
    'edge_outbox_dropped_total{kind="health"}': "0x500",
    'edge_messages_set_aside_total{reason="too_large"}': "0x500",
    "edge_clock_synced": "1x500",
    'edge_temperature_celsius{zone="tj-thermal"}': "60x500",
    "edge_engine_fallbacks": "0x500",
    'edge_detections_total{label="low_hummer"}': "0+2x500",
    'edge_detections_total{label="unknown"}': "0+1x500",
    'edge_clips_total{outcome="refused"}': "0x500",
    "edge_clips_stored_bytes": "100x500",
    "edge_clips_room_bytes": "900x500",
    "edge_history_bytes": "100x500",
    "edge_history_room_bytes": "900x500",
    "edge_store_errors_total": "0x500",
    "edge_store_in_memory": "0x500",
    'edge_heads_total{outcome="taken"}': "0+1x500",
    'edge_heads_total{outcome="went_back"}': "0x500",
}
# What happens from minute 60 on, one value a minute; and the minutes at which the alert does not
# fire yet, and does.
TROUBLE = {
    "EdgeDown": ({"up": "1x59 0x100", 'edge_info{device="pond",bundle="b"}': "1x59 _x100"}, 64, 66),
    "EdgeNoAudio": ({'edge_audio_seconds_total{fate="heard"}': "0+60x59 3540x100"}, 70, 76),
    "EdgeAudioLost": ({'edge_audio_seconds_total{fate="lost"}': "0x59 6+6x100"}, 75, 90),
    "EdgeMicrophoneFault": ({'edge_microphone_fault{fault="dead"}': "0x59 1x100"}, 64, 66),
    "EdgeOutboxGrowing": ({"edge_outbox_rows": "3x59 4+1x200"}, 130, 140),
    "EdgeOutboxDropping": ({'edge_outbox_dropped_total{kind="health"}': "0x59 1+1x100"}, 59, 62),
    "EdgeMessagesSetAside": (
        {'edge_messages_set_aside_total{reason="too_large"}': "0x59 1+1x100"},
        59,
        62,
    ),
    "EdgeClockUnsynchronised": ({"edge_clock_synced": "1x59 0x100"}, 74, 76),
    "EdgeHot": ({'edge_temperature_celsius{zone="tj-thermal"}': "60x59 91x100"}, 64, 66),
    "EdgeEngineFallback": ({"edge_engine_fallbacks": "0x59 1x100"}, 64, 66),
    "EdgeUnknownRateJump": (
        {
            'edge_detections_total{label="low_hummer"}': "0+2x299 598x150",
            'edge_detections_total{label="unknown"}': "0+1x299 302+3x150",
        },
        350,
        362,
    ),
    "EdgeClipsRefused": ({'edge_clips_total{outcome="refused"}': "0x59 1+1x100"}, 59, 62),
    "EdgeDiskBudget": (
        {"edge_clips_stored_bytes": "100x59 950x100", "edge_clips_room_bytes": "900x59 50x100"},
        74,
        76,
    ),
    "EdgeStoreFailing": ({"edge_store_errors_total": "0x59 1+1x100"}, 59, 62),
    "EdgeHeadNotUsed": ({'edge_heads_total{outcome="went_back"}': "0x59 1+0x100"}, 59, 62),
}
FEW_EVENTS = {
    'edge_detections_total{label="low_hummer"}': "0+0.2x299 60x150",
    'edge_detections_total{label="unknown"}': "0+0.1x299 30+0.3x150",
}


def case(series: dict[str, str], firing: dict[int, str | None]) -> dict[str, Any]:
    """Return a case of `promtool test rules`: the only alert that fires at each minute."""
    return {
        "interval": "1m",
        "input_series": [
            {"series": named(name), "values": values} for name, values in (WELL | series).items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, device) (ALERTS{alertstate="firing"})',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": f'{{alertname="{alert}",device="pond"}}', "value": 1}]
                if alert
                else [],
            }
            for minute, alert in firing.items()
        ],
    }


def named(series: str) -> str:
    """A series with the labels of its scrape."""
    name, _, rest = series.rstrip("}").partition("{")
    labels = [*([rest] if rest else []), 'job="edge"', 'instance="pond:9618"']
    return f"{name}{{{','.join(labels)}}}"


def test_the_shipped_thresholds_and_durations(tmp_path: Path) -> None:
    """`promtool test rules` evaluates them over hours that take no time."""
    assert set(TROUBLE) == set(alerts())
    cases = [
        case(series, {silent: None, fires: name})
        for name, (series, silent, fires) in TROUBLE.items()
    ]
    in_memory = {"edge_store_in_memory": "0x59 1x100"}
    cases += [case(in_memory, {59: None, 61: "EdgeStoreFailing"})]
    cases += [case({}, {1: None, 90: None, 390: None}), case(FEW_EVENTS, {362: None, 390: None})]
    content = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "cases.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
