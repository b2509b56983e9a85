"""A real mosquitto on a loopback port, to be killed and frozen, and subscribers that count."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import termios
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from typing_extensions import Self

MOSQUITTO = (
    shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    or "mosquitto"
)


def until(true: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Wait for a condition; whether it came."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Broker:
    """mosquitto in a folder of its own; what it has acknowledged survives its death.

    Where `mortal` is False it is not to be killed, and is quicker.
    """

    def __init__(self, folder: Path, *settings: str, mortal: bool = True) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir(exist_ok=True)
        lines = (
            f"listener {self.port} 127.0.0.1",
            *(settings or ("allow_anonymous true",)),
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {folder}/",
            *(("autosave_on_changes true", "autosave_interval 1") if mortal else ()),
            "max_inflight_messages 0",
            "max_queued_messages 0",
        )
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            command = [MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        assert until(self._listens, 10.0), (self._folder / "log").read_text()

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()  # a frozen one, too
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """End it as the system does, so that it writes down what it retains, and start it again."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self.start()

    @property
    def resident_mb(self) -> float:
        """Its memory, in MB of 10^6 bytes."""
        assert self._process is not None
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Scripted:
    """A broker on a free port whose words a test writes: `_talk` has each connection in turn.

    `connections` is how many there were.
    """

    def __init__(self) -> None:
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                self._take(connection, self.connections)

    def _take(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            self._talk(connection, number)

    def _talk(self, connection: socket.socket, number: int) -> None:
        raise NotImplementedError


class Terse(Scripted):
    """A broker that accepts everything, but hangs up on one topic, as MQTT 3.1.1 has it.

    With a `receive_maximum` it asks for no more messages at once, answers only when it has waited
    for more, and counts them.
    """

    def __init__(self, *, hangs_up_on: str, receive_maximum: int | None = None) -> None:
        self.most_unanswered = 0
        self._topic = hangs_up_on.encode()
        self._receive_maximum = receive_maximum
        super().__init__()

    def _talk(self, connection: socket.socket, number: int) -> None:
        kind, body = next_packet(connection)
        five = body[6] == 5  # CONNECT: the protocol's name, then its level
        properties = (
            b""
            if self._receive_maximum is None
            else b"\x21" + self._receive_maximum.to_bytes(2, "big")
        )
        variable = b"\0\0" + (bytes([len(properties)]) + properties if five else b"")
        connection.sendall(bytes([0x20, len(variable)]) + variable)
        unanswered: list[bytes] = []
        while True:
            if unanswered and (
                self._receive_maximum is None or not select.select([connection], [], [], 0.02)[0]
            ):
                connection.sendall(b"".join(b"\x40\x02" + mid for mid in unanswered))
                unanswered.clear()
            kind, body = next_packet(connection)
            if kind >> 4 == 3:  # PUBLISH, with QoS 1
                length = int.from_bytes(body[:2], "big")
                if body[2 : 2 + length] == self._topic:
                    return
                unanswered.append(body[2 + length : 4 + length])
                self.most_unanswered = max(self.most_unanswered, len(unanswered))


def next_packet(connection: socket.socket) -> tuple[int, bytes]:
    """First byte and body of the next MQTT packet."""
    kind = _exactly(connection, 1)[0]
    shift = length = 0
    while True:
        digit = _exactly(connection, 1)[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


class Subscriber:
    """A client that receives everything under a topic.

    The broker keeps its session, so that nothing is missed in between.
    """

    def __init__(
        self,
        port: int,
        topic: str = "#",
        *,
        before: Callable[[mqtt.Client], Any] = lambda client: None,
    ) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.arrived_s: list[float] = []  # of each message
        self._topic = topic
        self._ready = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"test-{port}", clean_session=False
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_disconnect = lambda *rest: self._ready.clear()
        self._client.on_connect = lambda client, *rest: client.subscribe(self._topic, qos=1)
        self._client.on_subscribe = lambda *rest: self._ready.set()
        self._client.on_message = self._message
        before(self._client)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # Without circles the client is gone with this object, and closes what it has open.
        self._client.on_connect = self._client.on_disconnect = None
        self._client.on_subscribe = self._client.on_message = None

    def _message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self.arrived_s.append(time.monotonic())
        self.messages.append((message.topic, bytes(message.payload), message.retain))

    @property
    def connected(self) -> bool:
        """Whether the broker has confirmed its subscription on the connection that it has now."""
        return self._ready.is_set()

    @property
    def drained(self) -> bool:
        """Whether it has read all that the broker has sent it so far."""
        sock = self._client.socket()
        if sock is None:
            return True
        unread = array("i", [0])
        fcntl.ioctl(sock, termios.FIONREAD, unread)
        return unread[0] == 0

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def detections(self, device: str = "r1") -> list[dict[str, Any]]:
        return [
            json.loads(payload)
            for topic, payload, _ in list(self.messages)
            if topic.startswith(f"edge/{device}/detection/")
        ]

    def counted(self, device: str = "r1") -> Counter[tuple[str, str]]:
        return Counter((d["id"], d["state"]) for d in self.detections(device))

    def said(self, topic: str) -> list[str]:
        return [payload.decode() for t, payload, _ in list(self.messages) if t == topic]


def unexpected(reason: BaseException) -> None:
    """What a sink's thread calls in a test in which it must not die; pytest makes it a failure."""
    raise AssertionError("the sink's thread died") from reason


class Meter:
    """Remembers what the sink says of itself."""

    def __init__(self) -> None:
        self.connected = False
        self.errors: list[str] = []
        self.delays_s: list[float | None] = []

    def mqtt_connected(self, connected: bool) -> None:
        self.connected = connected

    def mqtt_error(self, kind: str) -> None:
        self.errors.append(kind)

    def mqtt_acknowledged(self, kind: str, delay_s: float | None) -> None:
        self.delays_s.append(delay_s)
