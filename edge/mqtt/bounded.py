"""paho's client, which reads no more than a recorder has asked for.

A broker may send packets of 256 MB, and as many as it likes. What is too large is not read, and who
floods a recorder is left: a recorder asks for a birth message now and then, and for answers.
"""

from __future__ import annotations

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import DeliveryError
from edge.mqtt.pace import Pace

__all__ = ["LARGEST_BYTES", "MOST_OPEN", "BoundedClient", "FloodError"]

# Of what a broker may send us; a birth message has six, and a retained giant would come at each
# connection.
LARGEST_BYTES = 65_536
MOST_OPEN = 20  # messages of QoS 2 between their two halves
MOST_UNWRITTEN = 1000  # packets that the broker does not read while it goes on sending
# Packets beside the answers to what was sent.
UNASKED_PER_S = 20.0
UNASKED_AT_ONCE = 1000


class FloodError(DeliveryError):
    """The broker sends more than a recorder reads."""

    def __init__(self, what: str) -> None:
        super().__init__("protocol", f"the broker sends {what}; the connection is given up")


class BoundedClient(mqtt.Client):
    """Raises `FloodError` from `loop_read` instead of reading more than it should."""

    def __init__(self, client_id: str, *, five: bool) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else True,
            protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
        )
        self._unasked = Pace(UNASKED_PER_S, at_once=UNASKED_AT_ONCE)

    def answered(self) -> None:
        """Note that a packet was the answer to one of ours."""
        self._unasked.spend(-1)

    def let_go(self) -> None:
        """Close the sockets by which it wakes itself; it is not used again.

        Else that is left to the order in which garbage is found.
        """
        self._reset_sockets(sockpair_only=True)

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > LARGEST_BYTES:
            raise FloodError(f"a packet of {bufsize} bytes")
        if len(self._in_messages) > MOST_OPEN:
            raise FloodError(f"more than {MOST_OPEN} messages of QoS 2 at once")
        if len(self._out_packet) > MOST_UNWRITTEN:
            raise FloodError("without reading the answers")
        data: bytes = super()._sock_recv(bufsize)
        if self._in_packet["command"] == 0 and data:
            self._unasked.spend(1)
            if self._unasked.allowance() < 0:
                raise FloodError("more messages than a recorder has asked for")
        return data
