"""What a broker grants to a connection, and what it answers to a message."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from paho.mqtt import MQTTException

from edge.errors import EdgeError
from edge.store.outbox import AsideReason

__all__ = ["IN_FLIGHT", "NONSENSE", "Ack", "Granted", "UnsendableError"]

IN_FLIGHT = 20  # messages without an answer; MQTT 5 brokers may ask for fewer
# Of nonsense, whoever says it, paho raises any of these.
NONSENSE = (
    MQTTException,
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    KeyError,
    AssertionError,
)


class UnsendableError(EdgeError):
    """No connection to this broker takes this message; `reason` is that of setting it aside."""

    def __init__(self, reason: AsideReason, message: str) -> None:
        self.reason: AsideReason = reason
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Ack:
    """The broker's answer to message `mid`; `refusal` is its reason when it did not take it.

    `of_topic` is whether the reason is the topic, and not the message.
    """

    mid: int
    refusal: str | None
    of_topic: bool = False


@dataclass(frozen=True, kw_only=True)
class Granted:
    """What the broker's CONNACK allows; without a word of it everything is allowed.

    Its maximum of topic aliases does not matter: none is ever used.
    """

    at_once: int = IN_FLIGHT
    packet_bytes: int | None = None
    retain: bool = True
    qos: int = 2

    @staticmethod
    def of(properties: Any, *, retain: bool) -> Granted:
        """Return what the properties of a CONNACK say; nothing is retained unless `retain`."""
        return Granted(
            at_once=min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT)),
            packet_bytes=getattr(properties, "MaximumPacketSize", None),
            retain=retain and bool(getattr(properties, "RetainAvailable", 1)),
            qos=getattr(properties, "MaximumQoS", 2),
        )

    def check_size(self, topic: str, payload: bytes) -> None:
        """Raise `UnsendableError` for a message that the broker is too small for."""
        size_bytes = _packet_bytes(topic, payload)
        if self.packet_bytes is not None and size_bytes > self.packet_bytes:
            text = f"{size_bytes} bytes, and the broker takes {self.packet_bytes}"
            raise UnsendableError("too_large", f"{topic} is too large: it has {text}")


def _packet_bytes(topic: str, payload: bytes) -> int:
    """Return the size of a PUBLISH of MQTT 5 with QoS 1 and no properties."""
    rest = 2 + len(topic.encode()) + 2 + 1 + len(payload)
    digits = next(n for n in range(1, 9) if rest < 128**n)
    return 1 + digits + rest
