"""A whole recorder, from a fake sound card to a real broker: what it publishes, and what never."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import jsonschema
import pytest

from edge.config.config import load_config
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from tests.e2e.test_mqtt import PASSWORD, passwords
from tests.support.audio import soundscape
from tests.support.broker import Broker, Subscriber, until
from tests.support.bundles import tiny_bundle
from tests.support.daemons import RealTimeAudio, running, write_config

pytestmark = pytest.mark.broker

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "config" / "detection.v1.schema.json").read_text(
        encoding="utf-8"
    )
)
PLACE = {"latitude": 48.25, "longitude": 16.5}


def test_a_recorder_says_everything_it_should_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bundle = tiny_bundle(tmp_path / "bundle")
    with Broker(tmp_path / "broker", *passwords(tmp_path), mortal=False) as broker:
        files = {"username_file": str(tmp_path / "user"), "password_file": str(tmp_path / "right")}
        mqtt = {
            "host": "127.0.0.1",
            "port": broker.port,
            "home_assistant": True,
            "wait_for_sync_s": 0.0,
            **files,
        }
        file = write_config(
            tmp_path,
            bundle.path,
            mqtt=mqtt,
            device={"id": "pond", "site": "Auwald"},
            site=PLACE,
        )
        with Subscriber(
            broker.port, before=lambda client: client.username_pw_set("recorder", PASSWORD)
        ) as subscriber:
            daemon = Daemon(file, audio=RealTimeAudio(soundscape()), deliveries=deliveries)
            with running(daemon):
                assert until(
                    lambda: {d["state"] for d in subscriber.detections("pond")} >= {"new", "end"},
                    60,
                )
            assert until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"])
            detections = subscriber.detections("pond")
            for detection in detections:
                jsonschema.validate(detection, SCHEMA)
            # each once, for nothing went wrong
            assert len(subscriber.counted("pond")) == len(detections)
            topics = {topic for topic, *_ in subscriber.messages}
            common = {f"edge/pond/{name}" for name in ("status", "info", "health", "effort")}
            assert topics >= common | {
                "edge/pond/detection/low_hummer",
                "homeassistant/device/edge_pond/config",
            }
            (info,) = (json.loads(text) for text in subscriber.said("edge/pond/info"))
            config = load_config(file)
            assert info["bundle"] == bundle.digest == detections[0]["bundle"]
            assert info["config"] == config.digest == detections[0]["config"]
            assert {"version", "boot_id", "code", "started_utc"} <= set(info)
            assert (info["device"], info["site"]) == ("pond", "Auwald")
            assert {name: info[name] for name in PLACE} == PLACE
            effort = [json.loads(text) for text in subscriber.said("edge/pond/effort")]
            assert (
                sum(
                    e[f"{fate}_s"] for e in effort for fate in ("heard", "lost", "gated", "dropped")
                )
                > 0
            )
            everything = " ".join(content.decode() for _, content, _ in subscriber.messages)
    assert PASSWORD not in everything
    assert not any(PASSWORD in record.getMessage() for record in caplog.records)
