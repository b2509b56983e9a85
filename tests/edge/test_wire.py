"""What leaves the program is frozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.replay import Replayer
from edge.sinks.wire import SCHEMA_VERSION, detection_payload, window_payload

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "config" / "detection.v1.schema.json").read_text(encoding="utf-8"))

DETECTION_FIELDS = (
    *("schema_version", "id", "state", "source", "label", "common_name", "scientific_name", "nearest", "score", "novelty", "top"),
    *("start_sample", "end_sample", "peak_sample", "sample_rate_hz", "start_s", "end_s", "start_utc", "end_utc", "windows"),
    *("health", "clock", "bundle", "config", "code"),
)
WINDOW_FIELDS = ("file", "start_s", "end_s", "label", "nearest", "score", "novelty", "top")


@pytest.fixture
def payloads(replayer: Replayer, recording: str) -> list[dict[str, Any]]:
    heard = replayer.hear(recording)
    return [detection_payload(d, source=heard.file, clock=heard.clock, provenance=replayer.provenance) for d in heard.detections]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_detection_fits_the_schema(payloads: list[dict[str, Any]]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert {p["label"] for p in payloads} == {"low_hummer", "high_peeper", "mid_whistler", None}
    for payload in payloads:
        validator.validate(json.loads(json.dumps(payload, allow_nan=False)))


def test_the_fields_of_version_1_are_frozen(payloads: list[dict[str, Any]]) -> None:
    assert SCHEMA_VERSION == 1
    assert tuple(payloads[0]) == DETECTION_FIELDS
    assert tuple(SCHEMA["properties"]) == tuple(SCHEMA["required"]) == DETECTION_FIELDS
    assert tuple(payloads[0]["clock"]) == ("source", "synced", "uncertainty_s")
    assert tuple(payloads[0]["health"]) == ("rms_dbfs", "peak_dbfs", "clip_ratio", "dc", "dead", "stuck")


@pytest.mark.parametrize(
    "spoil",
    [
        {"score": 1.5},
        {"label": 3},
        {"start_utc": "2024-05-01 05:30:00"},
        {"id": "1"},
        {"top": []},
        {"schema_version": 2},
        {"clock": {"source": "name"}},
    ],
)
def test_the_schema_refuses(payloads: list[dict[str, Any]], spoil: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**payloads[0], **spoil}, SCHEMA)


def test_the_fields_of_a_window_are_frozen(replayer: Replayer, recording: str, tmp_path: Path) -> None:
    heard = replayer.hear(recording, spool=tmp_path / "spool")
    lines = [window_payload(p, file=heard.file) for p in heard.predictions()]
    assert lines
    for line in lines:
        assert tuple(line) == WINDOW_FIELDS
        gated = line["nearest"] is None
        assert len(line["top"]) == (0 if gated else 3)
        assert (line["label"] is None) == (line["novelty"] > 0.5)


def test_digests_say_what_made_the_detection(payloads: list[dict[str, Any]], replayer: Replayer) -> None:
    assert {p["bundle"] for p in payloads} == {replayer.bundle.digest}
    assert len({p["config"] for p in payloads}) == len({p["code"] for p in payloads}) == 1
