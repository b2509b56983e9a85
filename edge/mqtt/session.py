"""One connection to an MQTT broker, from CONNECT to its end. paho does the protocol; this decides
when, and says why not.

Nothing outlives the connection: what was on its way when it broke is sent again by the next one
from the outbox, not from paho's memory.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.reasons import PROTOCOL_ERROR, UNSPECIFIED, explained
from edge.mqtt.security import HANDSHAKE_S, secure

__all__ = ["Ack", "Session"]

CONNACK_S = 10.0
IN_FLIGHT = 20  # messages without an answer; MQTT 5 brokers may ask for fewer
# of what a broker may send us; a birth message has six, and a retained giant would come at each
# connection
LARGEST_BYTES = 65_536
# A broker that sends nonsense makes paho raise any of these.
NONSENSE = (
    MQTTException,
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    KeyError,
    AssertionError,
)


@dataclass(frozen=True, kw_only=True)
class Ack:
    """The broker's answer to message `mid`; `refusal` is its reason when it did not take it."""

    mid: int
    refusal: str | None


class Session:
    """A connection under `client_id`. One thread only.

    `wake` is a socket that ends a wait early when it can be read.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        client_id: str,
        wake: socket.socket,
        will: tuple[str, str] | None,
        on_message: Callable[[bytes], None],
    ) -> None:
        self._config = config
        self._wake = wake
        self._on_message = on_message
        self._connack: ReasonCode | None = None
        self._ended_by: ReasonCode | None = None
        self._acks: list[Ack] = []
        self._at_once, self._unanswered = IN_FLIGHT, 0
        five = config.protocol == 5
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else True,
            protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
        )
        self._client.connect_timeout = HANDSHAKE_S
        # the sink counts; paho must not hold back on its own
        self._client.max_inflight_messages_set(2 * IN_FLIGHT)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._published
        self._client.on_message = self._message
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)

    def open(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Connect and wait for the broker's word, until `cancelled`.

        Raises `DeliveryError` with the reason.
        """
        where = f"{self._config.host}:{self._config.port}"
        secure(self._client, self._config)
        self._connect(where)
        deadline_s = time.monotonic() + CONNACK_S
        while self._connack is None:
            if time.monotonic() > deadline_s or cancelled():
                raise DeliveryError("timeout", f"the broker {where} does not answer")
            self.exchange(0.2)
        if self._connack.is_failure:
            reason = f"the broker {where} refuses: {explained(self._connack)}"
            raise DeliveryError("refused", reason)

    def _connect(self, where: str) -> None:
        config = self._config
        # A client's first connection begins clean: the outbox remembers, not the broker.
        limits = None
        if config.protocol == 5:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.MaximumPacketSize = LARGEST_BYTES
        try:
            self._client.connect(config.host, config.port, config.keepalive_s, properties=limits)
        except ssl.SSLError as exc:
            reason = f"no TLS with the broker {where}: {exc.reason or exc}"
            raise DeliveryError("tls", reason) from exc
        except (OSError, UnicodeError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            text = f"no connection to the broker {where}: {reason}"
            raise DeliveryError("unreachable", text) from exc

    @property
    def room(self) -> int:
        """How many more messages the broker takes before it has answered.

        The caller keeps to it, since paho does not.
        """
        return self._at_once - self._unanswered

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> int:
        """Send with QoS 1; return the message's id, which an `Ack` will carry."""
        self._unanswered += 1
        return self._client.publish(topic, payload.encode(), qos=1, retain=retain).mid

    def subscribe(self, topic: str) -> None:
        """Have `on_message` called with payloads of `topic`."""
        self._client.subscribe(topic, qos=1)

    def exchange(self, timeout_s: float) -> None:
        """Read and write, waiting up to `timeout_s` for something to read.

        Raises `DeliveryError` when the connection has ended.
        """
        sock = self._client.socket()
        if sock is not None:
            try:
                self._loop(sock, timeout_s)
            except NONSENSE as exc:
                text = f"the broker sent something that is not MQTT: {type(exc).__name__} {exc}"
                raise DeliveryError("protocol", text) from exc
            except OSError as exc:
                raise DeliveryError("lost", f"lost the broker: {exc.strerror or exc}") from exc
        refused = self._connack is not None and self._connack.is_failure
        if self._client.socket() is None and not refused:
            raise self._lost()

    def acks(self) -> list[Ack]:
        """Return the answers since the last call."""
        acks, self._acks = self._acks, []
        return acks

    def close(self) -> None:
        """Say goodbye, so that the broker does not send the will.

        It is harmless when the connection is gone.
        """
        with contextlib.suppress(OSError, *NONSENSE):
            self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a word."""
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _loop(self, sock: Any, timeout_s: float) -> None:
        # TLS may have decrypted more than was asked for, of which select knows nothing.
        decrypted = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        writers = [sock] if self._client.want_write() else []
        wait_s = 0.0 if decrypted else timeout_s
        readable, writable, _ = select.select([sock, self._wake], writers, [], wait_s)
        if self._wake in readable:
            self._wake.recv(4096)
        if decrypted or sock in readable:
            self._client.loop_read(2 * IN_FLIGHT)
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

    def _lost(self) -> DeliveryError:
        """Return why the connection has ended, as far as it is known."""
        reason = self._ended_by
        if reason is None or reason.value == UNSPECIFIED:  # paho's words for a mere end
            return DeliveryError("lost", "lost the broker: connection closed")
        kind = "protocol" if reason.value == PROTOCOL_ERROR else "lost"
        return DeliveryError(kind, f"lost the broker: {explained(reason)}")

    # Called by paho within `exchange`.

    def _connected(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if self._connack is None:  # a second one is nonsense, and must not undo the first
            self._connack = reason
        self._at_once = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))

    def _disconnected(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._ended_by = reason

    def _published(
        self, client: mqtt.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any
    ) -> None:
        self._unanswered -= 1
        self._acks.append(Ack(mid=mid, refusal=str(reason) if reason.is_failure else None))

    def _message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._on_message(bytes(message.payload))
