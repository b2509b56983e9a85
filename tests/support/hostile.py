"""A broker that answers as a test says, for what no honest one does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.broker import Scripted, next_packet

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


class Hostile(Scripted):
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
        self._says = says
        self._properties = properties
        super().__init__()

    def _take(self, connection: socket.socket, number: int) -> None:
        """Have each connection on a thread of its own."""
        threading.Thread(target=super()._take, args=(connection, number), daemon=True).start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        five = next_packet(connection)[1][6] == 5
        properties = bytes([len(self._properties)]) + self._properties if five else b""
        connection.sendall(bytes([0x20, 2 + len(properties), 0, 0]) + properties)
        if self._says is not None:
            self._says(connection, number)
        while True:
            kind, body = next_packet(connection)
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
