"""A broker that answers as a test says, for what no honest one does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.broker import _packet

__all__ = ["Hostile", "Published", "acknowledges", "mute", "refuses"]


@dataclass(frozen=True)
class Published:
    """A message as it came, on which connection since the start."""

    topic: str
    payload: bytes
    mid: bytes
    connection: int


Answer = Callable[[Published], bytes]


def acknowledges(message: Published) -> bytes:
    """Answer with a PUBACK."""
    return b"\x40\x02" + message.mid


def mute(message: Published) -> bytes:
    """Answer nothing, as a broker whose queue is stuck."""
    return b""


def refuses(code: int) -> Answer:
    """Answer with that reason of MQTT 5."""
    return lambda message: b"\x40\x03" + message.mid + bytes([code])


class Hostile:
    """Accepts connections, answers pings, and messages by `answer`.

    `says` is called after each CONNACK, with the number of the connection, and sends what it likes;
    `properties` are those of the CONNACK, `suback` answers a subscription.
    """

    def __init__(
        self,
        answer: Answer = acknowledges,
        *,
        says: Callable[[socket.socket, int], None] | None = None,
        properties: bytes = b"",
        suback: int = 0,
    ) -> None:
        self.answer = answer
        self._suback = bytes([suback])
        self.published: list[Published] = []
        self.connections = 0
        self._says = says
        self._properties = properties
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Hostile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                threading.Thread(
                    target=self._talk, args=(connection, self.connections), daemon=True
                ).start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            five = _packet(connection)[1][6] == 5
            properties = bytes([len(self._properties)]) + self._properties if five else b""
            connection.sendall(bytes([0x20, 2 + len(properties), 0, 0]) + properties)
            if self._says is not None:
                self._says(connection, number)
            while True:
                kind, body = _packet(connection)
                if kind >> 4 == 3:
                    length = 2 + int.from_bytes(body[:2], "big")
                    message = Published(
                        topic=body[2:length].decode(),
                        payload=body[length + 2 + five :],
                        mid=body[length : length + 2],
                        connection=number,
                    )
                    self.published.append(message)
                    connection.sendall(self.answer(message))
                elif kind >> 4 == 8:
                    granted = body[:2] + (b"\0" if five else b"") + self._suback
                    connection.sendall(bytes([0x90, len(granted)]) + granted)
                elif kind >> 4 == 12:
                    connection.sendall(b"\xd0\0")
