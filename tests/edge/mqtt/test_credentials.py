"""Files of secrets that MQTT cannot send: told with their key, never with their content, and
survived.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.backoff import Backoff
from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.probe import probe
from edge.mqtt.sink import MqttSink
from edge.store.store import Store
from tests.support.broker import Meter, unexpected, until
from tests.support.hostile import Hostile
from tests.support.store import SYNCED, payload

SECRET = "hunter2"
CONTENTS = {
    "70 kB": (SECRET * 10_000).encode(),
    "one byte too many": b"u" * 65_536,
    "more than is read, of two bytes each": "ü".encode() * 40_000,
    "not text": SECRET.encode() + b"\xff\xfe",
    "a zero byte": SECRET.encode() + b"\0",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("key", ["username_file", "password_file"])
def test_a_secret_that_cannot_be_sent_is_told_by_its_key(
    tmp_path: Path, key: str, content: bytes
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("recorder\n")
    bad.write_bytes(content)
    files = {"username_file": good, "password_file": good, key: bad}
    with Hostile() as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port).model_copy(update=files)
        with pytest.raises(DeliveryError, match=rf"mqtt\..*{key}|{key}") as caught:
            probe(config, device="r1")
        assert caught.value.reason == "credentials"
        assert SECRET not in str(caught.value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("key", ["username_file", "password_file", "ca_file"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, key: str) -> None:
    good, pipe = tmp_path / "good", tmp_path / "pipe"
    good.write_text("recorder\n")
    os.mkfifo(pipe)
    files = {"username_file": good, key: pipe}
    config = MqttConfig(host="127.0.0.1", port=1).model_copy(update=files)
    with pytest.raises(DeliveryError, match=f"mqtt.{key}: .* is not a regular file"):
        probe(config, device="r1")


def test_the_longest_that_mqtt_can_send_is_sent(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"u" * 65_535 + b"\n")
    with Hostile() as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port, username_file=tmp_path / "long")
        assert "accepts" in probe(config, device="r1")


def test_a_sink_survives_it_and_delivers_once_the_file_is_right(tmp_path: Path) -> None:
    file, meter = tmp_path / "user", Meter()
    with (
        Hostile() as broker,
        Store(tmp_path / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store,
    ):
        file.write_bytes(CONTENTS["70 kB"])
        store.record(payload(1), dating=SYNCED)
        sink = MqttSink(
            MqttConfig(host="127.0.0.1", port=broker.port, username_file=file),
            device="r1",
            store=store,
            info={},
            meter=meter,
            died=unexpected,
            backoff=Backoff(first_s=0.02, longest_s=0.1),
        )
        sink.start()
        assert until(lambda: meter.errors.count("credentials") >= 2)
        assert sink.alive
        file.write_text("recorder\n")
        assert until(lambda: store.depth("mqtt") == (0, 0))
        sink.stop()
