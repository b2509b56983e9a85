"""What Home Assistant sees of a recorder through a real broker."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from edge.store.store import Store
from tests.e2e.conftest import Open
from tests.support.broker import Broker, Subscriber, until
from tests.support.store import SYNCED, payload

pytestmark = pytest.mark.broker


def test_home_assistant_hears_of_the_recorder_at_each_of_its_births(
    broker: Broker, store: Store, open_sink: Open
) -> None:
    topic = "homeassistant/device/edge_r1/config"
    with Subscriber(broker.port) as subscriber:
        sink = open_sink(broker.port, home_assistant=True)
        assert until(lambda: len(subscriber.said(topic)) == 1)
        config = json.loads(subscriber.said(topic)[0])
        assert config["availability_topic"] == "edge/r1/status"
        # `stopped` is not available either
        assert "value == 'online'" in config["availability_template"]
        assert {c["p"] for c in config["cmps"].values()} == {"event", "sensor", "binary_sensor"}
        assert len({c["unique_id"] for c in config["cmps"].values()}) == len(config["cmps"])
        subscriber.publish("homeassistant/status", b"offline")
        subscriber.publish("homeassistant/status", b"online")
        assert until(lambda: len(subscriber.said(topic)) == 2)
        for nonsense in (b"", b"\xff\xfe", b"online" * 1000, bytes(range(256))):
            subscriber.publish("homeassistant/status", nonsense)
        broker.kill()
        broker.start()
        assert until(lambda: len(subscriber.said(topic)) >= 3)
        assert sink.alive


def test_home_assistants_last_species_is_that_of_the_last_event_that_began(
    broker: Broker, store: Store, open_sink: Open
) -> None:
    with Subscriber(broker.port) as subscriber:
        open_sink(broker.port, home_assistant=True)
        for number, state in ((1, "new"), (2, "new"), (1, "end"), (3, "new"), (3, "end")):
            now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S}.000000Z"
            label = f"species_{number}" if number % 3 else None
            content = payload(number, state=state, label=label, start_utc=now)
            store.record(content, dating=SYNCED)
        assert until(lambda: len(subscriber.detections()) == 5)
        assert until(lambda: said_today(subscriber)[-1:] == [(2, "species_2")])
        before = len(said_today(subscriber))
        subscriber.publish("homeassistant/status", b"online")
        assert until(lambda: len(said_today(subscriber)) > before)
        assert said_today(subscriber)[-1] == (2, "species_2")
    with Subscriber(broker.port, "edge/+/today") as late:
        assert until(lambda: said_today(late) == [(2, "species_2")])  # retained


def said_today(subscriber: Subscriber) -> list[tuple[int, str | None]]:
    contents = [json.loads(said) for said in subscriber.said("edge/r1/today")]
    return [(content["events"], content["label"]) for content in contents]
