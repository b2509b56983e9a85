"""What leaves the program is frozen."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.clock import parse_zone, rfc3339
from edge.detect.decision import outcome_of
from edge.replay.payloads import window_payload
from edge.replay.replayer import Replayer
from edge.store.effort import EffortMinute
from edge.store.outcomes import OutcomeCounts
from edge.types import Score
from edge.wire import (
    SCHEMA_VERSION,
    detection_payload,
    effort_payload,
    health_payload,
    info_payload,
    recorder_payload,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "config" / "detection.v1.schema.json").read_text(encoding="utf-8"))

DETECTION_FIELDS = (
    *("schema_version", "id", "state", "source"),
    *("label", "common_name", "scientific_name", "kind", "outcome"),
    *("nearest", "score", "novelty", "top"),
    *("start_sample", "end_sample", "peak_sample", "sample_rate_hz"),
    *("start_s", "end_s", "start_utc", "end_utc", "windows"),
    *("health", "clock", "bundle", "variant", "backend", "config", "code"),
)
# Messages that were kept from before do not have them.
ADDED_FIELDS = {"kind", "outcome", "variant", "backend"}
RECORDER_FIELDS = ("device", "site", "boot_id", "clip")
LEVELS = ("rms_dbfs", "peak_dbfs", "clip_ratio", "dc", "dead", "stuck")
# Where frames or overlapping windows tell start and end.
UNCERTAINTIES = ("start_uncertainty_s", "end_uncertainty_s")
LOCAL_FIELDS = ("start_local",)  # where the zone is known
REPLAY_FIELDS = ("recording",)
PROBABILITY_FIELDS = ("probability", "calibration")  # where the bundle is calibrated
WINDOW_FIELDS = (
    *("file", "start_s", "end_s", "label", "outcome", "nearest", "score", "novelty", "top"),
    "unjudged",
)


@pytest.fixture
def payloads(replayer: Replayer, recording: str) -> list[dict[str, Any]]:
    result = replayer.replay(recording)
    return [
        detection_payload(d, source=result.file, clock=result.clock, provenance=replayer.provenance)
        for d in result.detections
    ]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_detection_fits_the_schema(payloads: list[dict[str, Any]]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert {p["label"] for p in payloads} == {"low_hummer", "high_peeper", "mid_whistler", None}
    for payload in payloads:
        validator.validate(json.loads(json.dumps(payload, allow_nan=False)))


def test_the_fields_of_version_1_are_frozen(payloads: list[dict[str, Any]]) -> None:
    assert SCHEMA_VERSION == 1
    assert tuple(payloads[0]) == DETECTION_FIELDS + UNCERTAINTIES
    # An unknown sound is where its windows are.
    assert {tuple(p) for p in payloads if p["label"] is None} == {DETECTION_FIELDS}
    assert SCHEMA["required"] == [name for name in DETECTION_FIELDS if name not in ADDED_FIELDS]
    of_heads = ("bundles", "trunk")  # of several bundles, and of heads
    fields = list(DETECTION_FIELDS)
    fields.insert(fields.index("novelty") + 1, "animal")  # where the bundle can tell
    assert tuple(name for name in SCHEMA["properties"] if name not in of_heads) == (
        tuple(fields)
        + RECORDER_FIELDS
        + ("interrupted", "clip_withheld")
        + LOCAL_FIELDS
        + REPLAY_FIELDS
        + UNCERTAINTIES
        + PROBABILITY_FIELDS
    )
    assert tuple(payloads[0]["clock"]) == ("source", "synced", "uncertainty_s")
    assert tuple(payloads[0]["health"]) == LEVELS


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


def test_a_recorder_adds_who_it_is(replayer: Replayer, recording: str) -> None:
    result = replayer.replay(recording)
    payload = recorder_payload(
        result.detections[0],
        device="r1",
        site="",
        boot_id="b",
        clip=None,
        clock=result.clock,
        provenance=replayer.provenance,
    )
    assert tuple(payload) == DETECTION_FIELDS + UNCERTAINTIES + RECORDER_FIELDS
    jsonschema.validate(payload, SCHEMA)
    assert payload["source"] == "r1"
    withheld = recorder_payload(
        result.detections[0],
        device="r1",
        site="",
        boot_id="b",
        clip=None,
        clock=result.clock,
        provenance=replayer.provenance,
        withheld=Score(label="human_vocal", score=0.25),
    )
    privacy = {"reason": "privacy", "label": "human_vocal", "score": 0.25}
    assert withheld == {**payload, "clip_withheld": privacy}
    jsonschema.validate(withheld, SCHEMA)


def test_the_fields_of_effort_are_frozen(replayer: Replayer, recording: str) -> None:
    minute = EffortMinute(
        start_sample=0,
        end_sample=60_000,
        sample_rate_hz=1000,
        heard=30_000,
        lost=10_000,
        gated=15_000,
        dropped=5000,
    )
    clock = replayer.replay(recording).clock
    effort = effort_payload(minute, device="r1", boot_id="b", clock=clock)
    seconds = ("heard_s", "lost_s", "gated_s", "dropped_s", "unknown_s")
    where = ("start_utc", "end_utc", "start_sample", "end_sample", "sample_rate_hz")
    assert tuple(effort) == ("schema_version", "device", "boot_id", *where, *seconds, "clock")
    assert [effort[key] for key in seconds] == [30.0, 10.0, 15.0, 5.0, 0.0]
    # What privacy withholds is there only where it withholds something.
    private = replace(minute, heard=10_000, private=20_000, clips_withheld=2)
    withheld = effort_payload(private, device="r1", boot_id="b", clock=clock)
    assert withheld == {**effort, "heard_s": 10.0, "private_s": 20.0, "clips_withheld": 2}
    weak = effort_payload(replace(minute, below_precision=3), device="r1", boot_id="b", clock=clock)
    assert weak == {**effort, "below_precision": 3}
    # What windows were is there where any was heard.
    counted = replace(minute, windows=OutcomeCounts(label=2, unknown=1, nothing=57))
    told = effort_payload(counted, device="r1", boot_id="b", clock=clock)
    windows = {"label": 2, "unknown": 1, "other": 0, "nothing": 57}
    assert told == {**effort, "windows": windows}


def test_the_fields_of_health_and_info_are_frozen(replayer: Replayer, recording: str) -> None:
    result = replayer.replay(recording)
    time = result.clock.utc(0)
    health = health_payload(
        result.detections[0].health, device="r1", boot_id="b", time=time, clock=result.clock
    )
    assert tuple(health) == ("schema_version", "device", "boot_id", "time_utc", *LEVELS, "clock")
    info = info_payload(
        device="r1", site="", boot_id="b", version="1", provenance=replayer.provenance, started=time
    )
    recorder = ("device", "site", "boot_id", "version")
    digests = ("bundle", "variant", "backend", "config", "code")
    assert tuple(info) == ("schema_version", *recorder, *digests, "labels", "started_utc")
    placed = info_payload(
        device="r1",
        site="",
        boot_id="b",
        version="1",
        provenance=replayer.provenance,
        started=time,
        position=(48.2, -16.4),
    )
    assert placed == {**info, "latitude": 48.2, "longitude": -16.4}


def test_the_fields_of_a_window_are_frozen(
    replayer: Replayer, recording: str, tmp_path: Path
) -> None:
    result = replayer.replay(recording, spool=tmp_path / "spool")
    is_animal, provenance = replayer.provenance.is_animal, replayer.provenance
    lines = [
        window_payload(
            p,
            file=result.file,
            outcome=outcome_of(p, is_animal=is_animal),
            provenance=provenance,
        )
        for p in result.predictions()
    ]
    assert lines
    for line in lines:
        assert tuple(line) == WINDOW_FIELDS
        gated = line["nearest"] is None
        assert len(line["top"]) == (0 if gated else 3)
        assert (line["label"] is None) == (line["novelty"] > 0.5)
        assert line["outcome"] == ("unknown" if line["label"] is None else "label")


def test_digests_say_what_made_the_detection(
    payloads: list[dict[str, Any]], replayer: Replayer
) -> None:
    assert {p["bundle"] for p in payloads} == {replayer.bundle.digest}
    assert len({p["config"] for p in payloads}) == len({p["code"] for p in payloads}) == 1


def test_local_time_is_there_where_the_zone_is_known(replayer: Replayer, recording: str) -> None:
    result = replayer.replay(recording)
    zoned = replace(result.clock, zone=parse_zone("Europe/Vienna"))
    payload = detection_payload(
        result.detections[0], source="a.wav", clock=zoned, provenance=replayer.provenance
    )
    assert tuple(payload) == DETECTION_FIELDS + UNCERTAINTIES + LOCAL_FIELDS
    jsonschema.validate(payload, SCHEMA)
    local = datetime.fromisoformat(payload["start_local"])
    assert local.utcoffset() == timedelta(hours=2)
    assert rfc3339(local) == payload["start_utc"]
