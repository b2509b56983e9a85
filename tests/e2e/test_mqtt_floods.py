"""What a broker sends without being asked: it is bounded while it is read, and detections go on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Literal

import pytest

from edge.mqtt.bounded import LARGEST_BYTES
from edge.store.store import Store
from tests.e2e.conftest import Open
from tests.support.broker import Broker, Meter, Subscriber, until
from tests.support.hostile import Hostile
from tests.support.store import SYNCED, payload

pytestmark = pytest.mark.broker

MUCH_BYTES = 256_000_000
Protocol = Literal[5, 311]
protocols = pytest.mark.parametrize("protocol", [5, 311])


def publish(protocol: Protocol, body: bytes, *, qos: int = 0, mid: int = 1) -> bytes:
    """A PUBLISH to a topic that nobody has subscribed to."""
    numbered = mid.to_bytes(2, "big") if qos else b""
    content = b"\0\5a/b/c" + numbered + (b"\0" if protocol == 5 else b"") + body
    return bytes([0x30 | qos << 1]) + length_of(content) + content


def length_of(content: bytes) -> bytes:
    digits, rest = b"", len(content)
    while rest >= 128:
        digits, rest = digits + bytes([rest % 128 | 128]), rest // 128
    return digits + bytes([rest])


class Flood:
    """Sends parts for ever on each of the first connections, and counts the bytes that went."""

    def __init__(self, *parts: bytes, connections: int = 2) -> None:
        self.sent_bytes = 0
        self._parts = parts
        self._connections = connections

    def __call__(self, connection: socket.socket, number: int) -> None:
        if number <= self._connections:
            threading.Thread(target=self._pour, args=(connection,), daemon=True).start()

    def _pour(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self.sent_bytes < MUCH_BYTES:
                for part in self._parts:
                    connection.sendall(part)
                    self.sent_bytes += len(part)


def floods(protocol: Protocol) -> dict[str, tuple[bytes, ...]]:
    giant = publish(protocol, bytes(200_000_000))[:4_000_000]
    return {
        "giant": (giant,),
        "giants": (publish(protocol, bytes(LARGEST_BYTES + 100)),),
        "many": (b"".join(publish(protocol, b"online") for _ in range(100)),),
        "large": (publish(protocol, bytes(LARGEST_BYTES - 100)),),
        "qos 1": (b"".join(publish(protocol, b"x", qos=1, mid=mid) for mid in range(1, 100)),),
        "qos 2": tuple(
            publish(protocol, bytes(60_000), qos=2, mid=m) for m in range(1, 60_000, 599)
        ),
        "one of qos 2": (publish(protocol, b"x", qos=2) * 100,),
        "pings": (b"\xd0\0" * 500,),
        "answers": (b"\x40\x02\x01\x01" * 500,),
    }


@protocols
@pytest.mark.parametrize("kind", floods(5))
def test_a_flood_is_left_soon_and_the_rows_are_delivered(
    store: Store,
    open_sink: Open,
    caplog: pytest.LogCaptureFixture,
    protocol: Protocol,
    kind: str,
) -> None:
    flood = Flood(*floods(protocol)[kind])
    with Hostile(says=flood) as broker:
        meter = Meter()
        began_s = time.monotonic()
        open_sink(broker.port, meter=meter, protocol=protocol)
        assert until(lambda: meter.errors.count("protocol") >= 2)
        assert time.monotonic() - began_s < 15
        # Socket buffers take some; the rest was not read.
        giant = kind in ("giant", "giants")
        assert flood.sent_bytes < (20_000_000 if giant else 160_000_000)
        store.record(payload(1), dating=SYNCED)
        assert until(lambda: store.depth("mqtt") == (0, 0))
    assert "hangs up on" not in caplog.text  # no message of the recorder's is to blame


@protocols
def test_a_retained_giant_of_home_assistants_topic_stops_no_delivery(
    tmp_path: Path, store: Store, open_sink: Open, protocol: Protocol
) -> None:
    with Broker(tmp_path / "broker") as broker, Subscriber(broker.port) as subscriber:
        subscriber.publish("homeassistant/status", bytes(1_000_000), retain=True)
        store.record(payload(1), dating=SYNCED)
        meter = Meter()
        open_sink(broker.port, meter=meter, protocol=protocol, home_assistant=True)
        assert until(lambda: len(subscriber.detections()) == 1)
        assert until(lambda: meter.connected)
        time.sleep(1.0)
        assert meter.connected
        assert meter.errors.count("protocol") == (0 if protocol == 5 else 1)
