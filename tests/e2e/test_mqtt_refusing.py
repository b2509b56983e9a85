"""Brokers that take some messages and not others: real ones with limits and rights, and such as
refuse, acknowledge nothing, or answer late.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.probe import probe
from edge.store.effort import EffortMinute
from edge.store.store import Dating, Store
from tests.e2e.conftest import INFO, Open
from tests.support.broker import Broker, Meter, Subscriber, until
from tests.support.hostile import Hostile, Published, acknowledges, mute, refuses
from tests.support.store import BOOT, SYNCED, UNSYNCED, event_id, health, payload

pytestmark = pytest.mark.broker

Protocol = Literal[5, 311]
protocols = pytest.mark.parametrize("protocol", [5, 311])
LABELS = [f"species_number_{number}" for number in range(300)]


def rights(folder: Path, *topics: str) -> tuple[str, str]:
    """Settings of a broker that lets anybody do with these topics what they say."""
    (folder / "acl").write_text("".join(f"topic {topic}\n" for topic in topics))
    return "allow_anonymous true", f"acl_file {folder / 'acl'}"


def store_small(store: Store) -> None:
    store.record_health(health(), dating=SYNCED)
    minute = EffortMinute(start_sample=0, end_sample=60, sample_rate_hz=1, heard=60)
    store.record_effort(minute, {"start_utc": "", "heard_s": 60.0}, stream="s", dating=SYNCED)


def log_lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if words in r.getMessage()]


def test_what_is_too_large_for_the_broker_is_told_by_its_name_and_set_aside(
    tmp_path: Path, store: Store, open_sink: Open, caplog: pytest.LogCaptureFixture
) -> None:
    small = Broker(tmp_path / "small", "allow_anonymous true", "max_packet_size 900")
    with small as broker, Subscriber(broker.port) as subscriber:
        meter = Meter()
        store.record(payload(1), dating=SYNCED)
        store_small(store)
        sink = open_sink(
            broker.port, meter=meter, home_assistant=True, info={**INFO, "labels": LABELS}
        )
        assert until(lambda: store.depth("mqtt") == (0, 0))
        assert until(lambda: {"health", "effort"} <= {t[8:] for t, *_ in subscriber.messages})
        assert until(lambda: subscriber.said("edge/r1/status") == ["online"])
        assert store.aside("mqtt") == {"unsendable": 0, "too_large": 1}
        assert set(meter.errors) == {"too_large"}  # and never "lost"
        for topic in ("detection/low_hummer", "info", "device/edge_r1/config"):
            (line,) = log_lines(caplog, f"{topic} is too large")
            assert "the broker takes 900" in line
        tried = len(meter.errors)
        time.sleep(1.5)
        assert len(meter.errors) == tried
        sink.stop()
    with Broker(tmp_path / "large") as broker, Subscriber(broker.port) as subscriber:
        open_sink(broker.port)
        assert until(lambda: [d["id"] for d in subscriber.detections()] == [event_id(1)])
        assert store.aside("mqtt")["too_large"] == 1  # ever


def test_a_row_of_which_the_library_makes_no_message_is_set_aside(
    broker: Broker, store: Store, open_sink: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store.record(payload(1, label="x" * 70_000), dating=SYNCED)
    store.record(payload(2), dating=SYNCED)
    meter = Meter()
    open_sink(broker.port, meter=meter)
    assert until(lambda: store.depth("mqtt") == (0, 0))
    assert store.aside("mqtt") == {"unsendable": 1, "too_large": 0}
    assert len(meter.delays_s) == 1
    assert meter.errors == ["protocol"]
    (line,) = log_lines(caplog, "no message can be made of")
    assert len(line) < 300


def test_mqtt_311_has_no_word_for_too_large_and_the_others_go_all_the_same(
    tmp_path: Path, store: Store, open_sink: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Broker(tmp_path / "broker", "allow_anonymous true", "max_packet_size 900") as broker,
        Subscriber(broker.port) as subscriber,
    ):
        store.record(payload(1), dating=SYNCED)
        store_small(store)
        open_sink(broker.port, protocol=311, info={**INFO, "labels": LABELS})
        assert until(lambda: store.depth("mqtt")[0] == 1, 40)
        assert until(lambda: {"health", "effort"} <= {t[8:] for t, *_ in subscriber.messages})
        assert until(lambda: log_lines(caplog, "hangs up on edge/r1/detection/low_hummer") != [])
        assert log_lines(caplog, "hangs up on edge/r1/info") != []


@protocols
def test_without_a_right_on_the_announcements_detections_arrive(
    tmp_path: Path,
    store: Store,
    open_sink: Open,
    caplog: pytest.LogCaptureFixture,
    protocol: Protocol,
) -> None:
    allowed = rights(tmp_path, "readwrite edge/r1/detection/+", "read #")
    with Broker(tmp_path / "broker", *allowed) as broker, Subscriber(broker.port) as subscriber:
        meter = Meter()
        for number in range(5):
            store.record(payload(number), dating=SYNCED)
        open_sink(broker.port, protocol=protocol, meter=meter, home_assistant=True)
        assert until(lambda: len(subscriber.counted()) == 5)
        assert until(lambda: store.depth("mqtt") == (0, 0))
        if protocol == 5:
            assert until(lambda: len(log_lines(caplog, "does not take")) == 5)
            for topic in ("info", "status", "state", "today", "device/edge_r1/config"):
                assert len(log_lines(caplog, f"{topic}: Not authorized")) == 1
        time.sleep(1.5)
        assert meter.errors.count("puback") <= 5


@protocols
def test_a_broker_that_retains_nothing_gets_everything(
    tmp_path: Path, store: Store, open_sink: Open, protocol: Protocol
) -> None:
    settings = ("allow_anonymous true", "retain_available false")
    with Broker(tmp_path / "broker", *settings) as broker, Subscriber(broker.port) as subscriber:
        store.record(payload(1), dating=SYNCED)
        store_small(store)
        open_sink(broker.port, protocol=protocol)
        assert until(lambda: store.depth("mqtt") == (0, 0))
        assert until(lambda: len(subscriber.detections()) == 1)
        assert until(lambda: "online" in subscriber.said("edge/r1/status"))


def test_a_broker_without_acknowledgements_is_told(
    tmp_path: Path, open_sink: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(tmp_path / "broker", "allow_anonymous true", "max_qos 0") as broker:
        meter = Meter()
        open_sink(broker.port, meter=meter)
        assert until(lambda: "refused" in meter.errors)
        assert "QoS" in caplog.text


# edge check


@protocols
def test_a_check_reads_back_what_it_publishes(broker: Broker, protocol: Protocol) -> None:
    config = MqttConfig(host="127.0.0.1", port=broker.port, protocol=protocol)
    assert (
        probe(config, device="r1") == "accepts, and gives back, what is published to edge/r1/check"
    )


def test_a_check_tells_what_the_broker_refuses_and_where_it_cannot(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", *rights(tmp_path, "read edge/#")) as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        with pytest.raises(DeliveryError, match="does not take edge/r1/check: Not authorized"):
            probe(config, device="r1")
        # mosquitto 2.0.11 hangs up after its acknowledgement, others do not even that.
        try:
            blind = probe(config.model_copy(update={"protocol": 311}), device="r1")
        except DeliveryError as exc:
            blind = str(exc)
        assert "hangs up: it does not grant" in blind or "cannot tell a refusal" in blind


def test_a_check_without_the_right_to_read_is_content_with_the_word_of_mqtt_5(
    tmp_path: Path,
) -> None:
    with Broker(tmp_path / "broker", *rights(tmp_path, "write edge/r1/#")) as broker:
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        assert probe(config, device="r1") == "accepts what is published to edge/r1/check"
        blind = probe(config.model_copy(update={"protocol": 311}), device="r1")
        assert "cannot tell a refusal" in blind


def test_a_check_tells_of_a_limit_that_is_too_small(tmp_path: Path) -> None:
    settings = ("allow_anonymous true", "max_packet_size 900")
    with Broker(tmp_path / "broker", *settings) as broker:
        found = probe(MqttConfig(host="127.0.0.1", port=broker.port), device="r1")
        assert "takes messages of 900 bytes at most" in found


def test_a_check_of_a_broker_that_acknowledges_nothing_says_so() -> None:
    with Hostile(mute) as broker, pytest.raises(DeliveryError, match="does not answer a message"):
        probe(MqttConfig(host="127.0.0.1", port=broker.port), device="r1", answer_s=0.5)


# Those that no honest broker is


def test_a_broker_that_answers_pings_only_is_told_counted_and_connected_anew(
    store: Store, open_sink: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with Hostile(mute) as broker:
        meter = Meter()
        store.record(payload(1), dating=SYNCED)
        open_sink(broker.port, meter=meter, unanswered_s=0.5)
        assert until(lambda: meter.errors.count("unanswered") >= 2)
        assert len(log_lines(caplog, "has not acknowledged edge/r1/info for")) == 1
        assert broker.connections <= meter.errors.count("unanswered") + 1
        broker.answer = acknowledges
        assert until(lambda: store.depth("mqtt") == (0, 0))


def test_one_message_that_is_never_acknowledged_holds_up_no_other(
    store: Store, open_sink: Open
) -> None:
    def forgetful(message: Published) -> bytes:
        return b"" if event_id(1).encode() in message.payload else acknowledges(message)

    with Hostile(forgetful) as broker:
        meter = Meter()
        open_sink(broker.port, meter=meter, unanswered_s=0.4)
        for number in range(1, 40):
            store.record(payload(number), dating=SYNCED)
            time.sleep(0.05)
        assert until(lambda: store.depth("mqtt")[0] == 1)
        assert until(lambda: "unanswered" in meter.errors)


@pytest.mark.parametrize("code", [0x80, 0x87, 0x97, 0x99])
def test_refusals_of_everything_fill_neither_log_nor_line(
    store: Store, open_sink: Open, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(400):
        store.record(payload(number, label=f"species_{number % 100}"), dating=SYNCED)
    with Hostile(refuses(code)) as broker:
        meter = Meter()
        open_sink(broker.port, meter=meter, home_assistant=True)
        assert until(lambda: "puback" in meter.errors)
        time.sleep(3.0)
        assert len(caplog.records) < 70
        assert len(broker.published) < 150
        assert broker.connections == 1
        assert store.depth("mqtt")[0] == 400  # it may want them later


def test_behind_a_topic_that_is_refused_the_others_go(store: Store, open_sink: Open) -> None:
    def choosy(message: Published) -> bytes:
        wanted = "refused" not in message.topic
        return acknowledges(message) if wanted else refuses(0x87)(message)

    for number in range(500):
        store.record(payload(number, label="refused"), dating=SYNCED)
    store.record(payload(1000), dating=SYNCED)
    with Hostile(choosy) as broker:
        open_sink(broker.port)
        assert until(lambda: store.depth("mqtt")[0] == 500)
        store.record(payload(1001, label="low_hummer"), dating=SYNCED)
        assert until(lambda: any(event_id(1001).encode() in m.payload for m in broker.published))
        assert Counter(m.topic for m in broker.published)["edge/r1/detection/refused"] <= 40


def test_a_row_that_is_dated_anew_on_its_way_is_sent_again(store: Store, open_sink: Open) -> None:
    held: list[Published] = []

    def late(message: Published) -> bytes:
        if b'"id"' not in message.payload or b'"synced": true' in message.payload:
            return acknowledges(message)
        held.append(message)
        if len(held) < 2:
            return b""
        store.redate(right)
        return b"".join(acknowledges(each) for each in held)

    right = Dating(boot_id=BOOT, offset_us=3_600_000_000, synced=True, uncertainty_s=0.02)
    with Hostile(late) as broker:
        open_sink(broker.port, wait_for_sync_s=0.0)
        for number in (1, 2):
            store.record(payload(number, synced=False), dating=UNSYNCED)
        assert until(lambda: store.depth("mqtt") == (0, 0))
        last = {m["id"]: m for m in map(json.loads, contents(broker)) if "id" in m}
        kept = {p["id"]: p for p in store.detections()}
        assert last == kept
        assert {p["start_utc"][11:13] for p in kept.values()} == {"06"}
        assert store._db.execute("SELECT sum(sent) FROM detections").fetchone() == (2,)


def contents(broker: Hostile) -> list[bytes]:
    return [m.payload for m in broker.published if m.payload.startswith(b"{")]


@pytest.mark.parametrize(
    "properties",
    [b"\x27\0\0\0\1", b"\x25\0", b"\x22\0\0", b"\x13\0\5"],
    ids=["one byte", "nothing retained", "no alias", "keepalive"],
)
def test_whatever_a_broker_grants_the_sink_lives_and_nothing_is_lost(
    store: Store, open_sink: Open, properties: bytes
) -> None:
    store.record(payload(1), dating=SYNCED)
    with Hostile(properties=properties) as broker:
        sink = open_sink(broker.port, home_assistant=True)
        assert until(lambda: store.depth("mqtt") == (0, 0))
        assert sink.alive
        sink.stop(1.0)
        assert not sink.alive
    with Hostile() as honest:
        open_sink(honest.port)
        sent = [m.payload for m in (*broker.published, *honest.published)]
        assert until(lambda: any(event_id(1).encode() in each for each in sent + contents(honest)))


@pytest.mark.parametrize(("protocol", "code"), [(5, 0x87), (5, 0x80), (311, 0x80)])
def test_a_subscription_that_is_refused_is_told_and_costs_nothing_else(
    store: Store,
    open_sink: Open,
    caplog: pytest.LogCaptureFixture,
    protocol: Protocol,
    code: int,
) -> None:
    store.record(payload(1), dating=SYNCED)
    with Hostile(suback=code) as broker:
        open_sink(broker.port, home_assistant=True, protocol=protocol)
        assert until(lambda: store.depth("mqtt") == (0, 0))
        assert until(lambda: log_lines(caplog, "does not let this recorder read") != [])
        assert broker.connections == 1
