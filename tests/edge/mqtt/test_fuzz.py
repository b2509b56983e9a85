"""What strangers can say to the MQTT sink: on the topic it listens to, and in place of a broker. It
tells, counts, and goes on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.backoff import Backoff
from edge.cli import main
from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.probe import probe
from edge.mqtt.reasons import ERROR_REASONS
from edge.mqtt.session import Session
from edge.mqtt.sink import MqttSink
from edge.store.store import Store
from tests.support.broker import Broker, Meter, Subscriber, unexpected, until
from tests.support.bundles import tiny_bundle
from tests.support.daemons import write_config
from tests.support.store import SYNCED, payload

BIRTH = "homeassistant/status"
ANNOUNCEMENT = "homeassistant/device/edge_r1/config"

CONNACK = {5: b"\x20\x03\0\0\0", 311: b"\x20\x02\0\0"}
# Packets as a broker sends them, to be cut and changed: answers, what it has for a subscriber, and
# good-byes.
PACKETS = st.sampled_from(
    [
        *(
            b"\x20\x03\0\0\0",
            b"\x20\x02\0\0",
            b"\x20\x03\0\x87\0",
            b"\x20\x02\0\5",
            b"\x20\x06\0\0\3\x21\0\0",
            b"\x20\x06\0\0\3\x21\0\1",
        ),
        *(
            b"\x40\x02\0\1",
            b"\x40\x03\0\1\x87",
            b"\x40\x04\0\2\x10\0",
            b"\x40\x02\xff\xff",
            b"\x90\x04\0\1\0\1",
            b"\x90\x03\0\1\x80",
        ),
        *(
            b"\x30\x08\0\5a/b/cx",
            b"\x32\x0b\0\5a/b/c\0\7\0x",
            b"\x30\x06\0\2\xff\xfe\0x",
            b"\x34\x09\0\1a\0\7\0xyz",
            b"\x62\x02\0\7",
        ),
        *(
            b"\xd0\0",
            b"\xe0\0",
            b"\xe0\1\x8e",
            b"\xe0\2\x95\0",
            b"\xf0\0",
            b"\0\0",
            b"\x10\0",
            b"\x50\x02\0\1",
            b"\x70\x02\0\1",
        ),
        *(
            b"\xff\xff\xff\xff\x7f",
            b"\x30\xff\xff\xff\x7f",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x15\x03\x01\0\2\2\x28",
            b"SSH-2.0-x\r\n",
        ),
    ]
)
STREAMS = st.lists(PACKETS | st.binary(min_size=1, max_size=12), max_size=6).map(b"".join)


class Impostor:
    """Accepts connections and says what it was given to say, whatever it hears, then hangs up."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.says = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(self.says)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(5.0)
                    while connection.recv(4096):
                        pass


@pytest.fixture(scope="module")
def impostor() -> Iterator[Impostor]:
    impostor = Impostor()
    yield impostor
    impostor.close()


@settings(max_examples=120)
@given(STREAMS, st.sampled_from([5, 311]))
def test_what_answers_in_place_of_a_broker_is_told_in_one_line(
    impostor: Impostor, stream: bytes, protocol: Literal[5, 311]
) -> None:
    impostor.says = stream
    config = MqttConfig(host="127.0.0.1", port=impostor.port, protocol=protocol)
    with pytest.raises(DeliveryError) as trouble:
        probe(config, device="r1")
    assert len(str(trouble.value).splitlines()) == 1


@settings(max_examples=120)
@given(STREAMS, st.sampled_from([5, 311]))
def test_nonsense_on_a_connection_ends_it_and_nothing_else(
    impostor: Impostor, stream: bytes, protocol: Literal[5, 311]
) -> None:
    impostor.says = CONNACK[protocol] + stream
    ours, theirs = socket.socketpair()
    with ours, theirs:
        config = MqttConfig(host="127.0.0.1", port=impostor.port, protocol=protocol)
        heard: list[bytes] = []
        session = Session(
            config,
            client_id="edge-r1",
            wake=ours,
            will=("edge/r1/status", "offline"),
            on_message=lambda _, payload: heard.append(payload),
        )
        with pytest.raises(DeliveryError) as ended:  # noqa: PT012 - where it ends depends on what was said
            session.open()
            session.subscribe(BIRTH)
            sent = [session.publish("edge/r1/effort", str(number)) for number in range(3)]
            while True:
                session.exchange(5.0)
        assert ended.value.reason in ERROR_REASONS
        assert len(str(ended.value).splitlines()) == 1
        acknowledged = [ack.mid for ack in session.acks()]
        assert set(acknowledged) <= set(sent if acknowledged else [])
        assert len(set(acknowledged)) == len(acknowledged)  # no answer counts twice
        session.abort()


@pytest.mark.broker
def test_the_sink_outlives_impostors_and_delivers_when_the_broker_is_back(tmp_path: Path) -> None:
    """The same port: first it is nonsense that answers there, then the broker."""
    broker = Broker(tmp_path / "broker", mortal=False)
    meter = Meter()
    config = MqttConfig(host="127.0.0.1", port=broker.port, home_assistant=True)
    with Store(tmp_path / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store:
        store.record(payload(1), dating=SYNCED)
        sink = MqttSink(
            config, device="r1", store=store, info={}, meter=meter, backoff=quick(), died=unexpected
        )
        sink.start()
        for says in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            CONNACK[5] + b"\x30\xff\xff\xff\x7f",
            CONNACK[5] + b"\x32\x02\xff\xff",
        ):
            tried = len(meter.errors)
            with socket.create_server(("127.0.0.1", broker.port)) as server:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(says)
                    connection.shutdown(socket.SHUT_WR)
                    assert until(lambda: len(meter.errors) > tried)  # noqa: B023 - asked at once
            assert sink.alive
        with broker, Subscriber(broker.port) as subscriber:
            assert until(lambda: store.depth("mqtt") == (0, 0))
            assert until(lambda: len(subscriber.detections()) == 1)
            sink.stop()
    assert set(meter.errors) <= set(ERROR_REASONS)


@pytest.mark.broker
def test_whatever_is_said_on_the_birth_topic_detections_go_on(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "broker", mortal=False) as broker,
        Store(tmp_path / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store,
        Subscriber(broker.port) as subscriber,
    ):
        subscriber.publish(BIRTH, b"\xff\0online", retain=True)
        config = MqttConfig(host="127.0.0.1", port=broker.port, home_assistant=True)
        meter = Meter()
        sink = MqttSink(
            config, device="r1", store=store, info={}, meter=meter, backoff=quick(), died=unexpected
        )
        sink.start()
        assert until(lambda: len(subscriber.said(ANNOUNCEMENT)) == 1)
        numbers = iter(range(1000))

        @settings(max_examples=40)
        @given(
            st.lists(
                st.binary(max_size=200)
                | st.sampled_from([b"online", b"offline", b"", b"online\n"]),
                max_size=5,
            ),
            st.booleans(),
        )
        def said(messages: list[bytes], retain: bool) -> None:
            for message in messages:
                subscriber.publish(BIRTH, message, retain=retain)
            number = next(numbers)
            store.record(payload(number), dating=SYNCED)
            assert until(lambda: len(subscriber.detections()) == number + 1)

        said()
        subscriber.publish(BIRTH, bytes(300_000))
        for _ in range(200):
            subscriber.publish(BIRTH, b"online")
        heard = len(subscriber.said(ANNOUNCEMENT))
        # the last one is answered, too
        assert until(lambda: len(subscriber.said(ANNOUNCEMENT)) > heard)
        assert sink.alive
        assert meter.errors == []
        span_s = subscriber.arrived_s[-1] - subscriber.arrived_s[0]
        assert len(subscriber.said(ANNOUNCEMENT)) <= span_s + 2  # no more than one a second
        sink.stop()


def test_the_command_tells_of_an_impostor_in_one_line(impostor: Impostor, tmp_path: Path) -> None:
    impostor.says = b"\x20\xff\xff\xff\xff\x01"
    (tmp_path / "password").write_text("hunter2\n")
    bundle = tiny_bundle(tmp_path / "bundle")
    secret = {
        "username_file": str(tmp_path / "password"),
        "password_file": str(tmp_path / "password"),
    }
    file = write_config(
        tmp_path, bundle.path, mqtt={"host": "127.0.0.1", "port": impostor.port, **secret}
    )
    result = CliRunner().invoke(main, ["check", "--config", str(file)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = (line for line in result.output.splitlines() if "broker" in line.split(":")[0])
    assert line.startswith("FAULT  broker: mqtt.host = 127.0.0.1")
    assert "hunter2" not in result.output


def quick() -> Backoff:
    """So that the test need not wait."""
    return Backoff(first_s=0.05, longest_s=0.2)
