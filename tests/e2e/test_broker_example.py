"""The broker of `deploy/mosquitto`: a recorder delivers through it, and no client may do more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import yaml
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion

from deploy.cli import main
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from tests.support.broker import Broker, Subscriber
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.secure import client_tls, example_broker, identify
from tests.support.sent import Sender

pytestmark = pytest.mark.broker

CLIENTS = ("pond", "meadow", "reader", "sender", "stranger")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("example")


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[Broker]:
    with Broker(
        folder / "broker", *example_broker(folder, clients=CLIENTS), mortal=False
    ) as broker:
        yield broker


@contextmanager
def connected(broker: Broker, folder: Path, name: str) -> Iterator[mqtt.Client]:
    """A client with that certificate, whatever it calls itself."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"any-{name}", protocol=mqtt.MQTTv5)
    identify(client, folder, name)
    ready = threading.Event()
    client.on_connect = lambda *rest: ready.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    try:
        assert ready.wait(20)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
        client.on_connect = client.on_publish = client.on_subscribe = None


def publishes(client: mqtt.Client, topic: str) -> bool:
    """Whether the broker takes a message."""
    answers: list[bool] = []
    client.on_publish = lambda client, userdata, mid, reason, properties: answers.append(
        not reason.is_failure
    )
    client.publish(topic, b"{}", qos=1)
    until(lambda: answers, 20)
    return answers[0]


def test_the_daemon_delivers_through_it_and_a_reader_reads(broker: Broker, folder: Path) -> None:
    sink, bundle = mqtt_of(broker, folder, "pond"), tiny_bundle(folder / "bundle")
    config = write_config(folder, bundle.path, mqtt=sink, clips={"enabled": False})
    daemon = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=deliveries)
    with Subscriber(
        broker.port, before=lambda client: identify(client, folder, "reader")
    ) as reader:
        with running(daemon):
            until(lambda: reader.detections("pond"), 60)
        until(lambda: reader.said("edge/pond/status")[-1:] == ["stopped"], 20)
        assert {d["label"] for d in reader.detections("pond")} == {"low_hummer"}
        assert json.loads(reader.said("edge/pond/info")[0])["device"] == "pond"


def test_a_recorder_writes_below_its_own_topic_only(broker: Broker, folder: Path) -> None:
    with (
        Subscriber(broker.port, before=lambda client: identify(client, folder, "reader")) as reader,
        connected(broker, folder, "meadow") as meadow,
    ):
        for topic in (
            "edge/pond/status",
            "edge/pond/detection/forged",
            "edge/status",
            "edge/meadow-2/status",
            "other",
        ):
            assert not publishes(meadow, topic), topic
        assert publishes(meadow, "edge/meadow/detection/genuine")
        until(lambda: any(topic.endswith("genuine") for topic, *_ in reader.messages), 20)
        assert not [topic for topic, *_ in reader.messages if topic.endswith("forged")]


def test_a_recorder_reads_nothing(broker: Broker, folder: Path) -> None:
    heard: list[str] = []
    subscribed = threading.Event()
    with connected(broker, folder, "pond") as pond, connected(broker, folder, "meadow") as meadow:
        meadow.on_message = lambda client, userdata, message: heard.append(message.topic)
        meadow.on_subscribe = lambda *rest: subscribed.set()
        meadow.subscribe([("#", 1), ("edge/+/detection/#", 1)])
        assert subscribed.wait(20)
        assert publishes(pond, "edge/pond/detection/secret")
        assert publishes(meadow, "edge/meadow/status")  # whatever was to arrive before this has
        assert heard == []


COMMANDS = ("edge/pond/command/head", "edge/head.parts/0/0")


@pytest.mark.parametrize("topic", COMMANDS)
@pytest.mark.parametrize("name", ["pond", "meadow", "reader", "stranger"])
def test_nobody_but_the_sender_sends_heads(
    broker: Broker, folder: Path, name: str, topic: str
) -> None:
    with connected(broker, folder, name) as client:
        assert not publishes(client, topic)


def test_the_sender_sends_heads_and_nothing_else(broker: Broker, folder: Path) -> None:
    with connected(broker, folder, "sender") as sender:
        for topic in COMMANDS:
            assert publishes(sender, topic), topic
        for topic in ("edge/pond/status", "edge/pond/info", "edge/pond/command/x", "edge/sender/x"):
            assert not publishes(sender, topic), topic


def test_a_head_goes_through_it_to_a_recorder(broker: Broker, folder: Path) -> None:
    sender = Sender.in_folder(folder / "heads")
    head = sender.head()
    with wired(broker, folder, "pond", sender) as daemon:
        file = folder / "sender.yaml"
        file.write_text(yaml.safe_dump({"mqtt": mqtt_of(broker, folder, "sender")}))
        sent = ["--config", str(file), "--key", str(sender.key.private), "--to", "pond"]
        result = CliRunner().invoke(main, ["send", str(head.path), *sent])
        assert result.stdout == "pond: taken\n", result.output
        assert daemon._running.plan.provenance.bundle == head.digest
        stranger = folder / "stranger.yaml"
        stranger.write_text(yaml.safe_dump({"mqtt": mqtt_of(broker, folder, "meadow")}))
        sent[1] = str(stranger)
        result = CliRunner().invoke(main, ["send", str(head.path), *sent])
        assert result.exit_code == 1
        assert "Not authorized" in result.stderr


def mqtt_of(broker: Broker, folder: Path, name: str) -> dict[str, object]:
    """The section `mqtt` of the client of that name."""
    tls = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in client_tls(folder, name).items()
    }
    return {"host": "127.0.0.1", "port": broker.port, "wait_for_sync_s": 0.0, **tls}


@contextmanager
def wired(broker: Broker, folder: Path, name: str, sender: Sender) -> Iterator[Daemon]:
    """A recorder with a certificate, which takes heads."""
    trusted = {"bundle": str(sender.trunk.path), "trusted_keys": [sender.key.text]}
    config = write_config(
        folder,
        sender.trunk.path,
        device={"id": name},
        model=trusted,
        heads={"broker": True, "kept": str(folder / "kept")},
        mqtt=mqtt_of(broker, folder, name),
        clips={"enabled": False},
    )
    daemon = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=deliveries)
    with running(daemon):
        yield daemon


@pytest.mark.parametrize("topic", ["edge/pond/status", "edge/reader/status", "edge/x", "x"])
def test_a_reader_writes_nothing(broker: Broker, folder: Path, topic: str) -> None:
    with connected(broker, folder, "reader") as reader:
        assert not publishes(reader, topic)


def test_without_a_certificate_nobody_comes_in(broker: Broker, folder: Path) -> None:
    refused, entered = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="nobody")
    identify(client, folder, None)
    client.on_connect = lambda *rest: entered.set()
    client.on_disconnect = lambda *rest: refused.set()
    client.connect_async("127.0.0.1", broker.port)
    client.loop_start()
    try:
        assert refused.wait(20)
        assert not entered.is_set()
    finally:
        client.disconnect()
        client.loop_stop()
        client.on_connect = client.on_disconnect = None
