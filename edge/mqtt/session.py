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
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.bounded import LARGEST_BYTES, MOST_OPEN, BoundedClient
from edge.mqtt.granted import IN_FLIGHT, NONSENSE, Ack, Granted, UnsendableError
from edge.mqtt.reasons import NO_RETAIN, OF_TOPIC, PROTOCOL_ERROR, UNSPECIFIED, explained
from edge.mqtt.security import HANDSHAKE_S, secure

__all__ = ["Session"]

CONNACK_S = 10.0


class Session:
    """A connection under `client_id`. One thread only.

    `wake` is a socket that ends a wait early when it can be read. Unless `retain`, nothing is
    published to be retained, nor is the will. `reached` is whether something took the connection.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        client_id: str,
        wake: socket.socket,
        will: tuple[str, str] | None,
        on_message: Callable[[str, bytes], None],
        retain: bool = True,
    ) -> None:
        self._config = config
        self._wake = wake
        self._on_message = on_message
        self._connack: ReasonCode | None = None
        self._ended_by: ReasonCode | None = None
        self._acks: list[Ack] = []
        self.granted = Granted(retain=retain)  # until the CONNACK says more
        self._retain_available, self.reached = True, False
        self._unanswered = 0
        self._subscribed: dict[int | None, str] = {}  # topics by message id, not answered yet
        self.subscriptions: dict[str, str | None] = {}  # answered ones; the reason of a refusal
        self._client = BoundedClient(client_id, five=config.protocol == 5)
        self._client.connect_timeout = HANDSHAKE_S
        # the sink counts; paho must not hold back on its own
        self._client.max_inflight_messages_set(2 * IN_FLIGHT)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._published
        self._client.on_subscribe = self._answered_subscription
        self._client.on_message = self._message
        if will is not None:
            self._client.will_set(*will, qos=1, retain=retain)

    def open(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Connect and wait for the broker's word, until `cancelled`.

        Raises `DeliveryError` with the reason.
        """
        where = f"{self._config.host}:{self._config.port}"
        secure(self._client, self._config)
        self._connect(where)
        self.reached = True
        deadline_s = time.monotonic() + CONNACK_S
        while self._connack is None:
            if time.monotonic() > deadline_s or cancelled():
                raise DeliveryError("timeout", f"the broker {where} does not answer")
            self.exchange(0.2)
        if self._connack.is_failure:
            reason = f"the broker {where} refuses: {explained(self._connack)}"
            raise DeliveryError("refused", reason)
        if self.granted.qos < 1:
            reason = f"the broker {where} offers no QoS 1, without which nothing is acknowledged"
            raise DeliveryError("refused", reason)

    @property
    def retains(self) -> bool | None:
        """Whether the broker retains messages; None where it hung up without a word."""
        if self._connack is None:
            return None
        return self._connack.value != NO_RETAIN and self._retain_available

    def _connect(self, where: str) -> None:
        config = self._config
        # A client's first connection begins clean: the outbox remembers, not the broker.
        limits = None
        if config.protocol == 5:
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            limits.MaximumPacketSize = LARGEST_BYTES
            limits.ReceiveMaximum = MOST_OPEN
        try:
            self._client.connect(config.host, config.port, config.keepalive_s, properties=limits)
        except ssl.SSLError as exc:
            reason = f"no TLS with the broker {where}: {exc.reason or exc}"
            raise DeliveryError("tls", reason) from exc
        except (OSError, UnicodeError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            text = f"no connection to the broker {where}: {reason}"
            raise DeliveryError("unreachable", text) from exc
        except NONSENSE as exc:  # what paho cannot put into a packet
            text = f"the configuration of mqtt makes no connection: {type(exc).__name__} {exc}"
            raise DeliveryError("protocol", text) from exc

    @property
    def room(self) -> int:
        """How many more messages the broker takes before it has answered.

        The caller keeps to it, since paho does not.
        """
        return self.granted.at_once - self._unanswered

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> int:
        """Send with QoS 1; return the message's id, which an `Ack` will carry.

        Raises `UnsendableError`.
        """
        try:
            content = payload.encode()
            self.granted.check_size(topic, content)
            retain = retain and self.granted.retain
            sent = self._client.publish(topic, content, qos=1, retain=retain)
        except NONSENSE as exc:
            text = f"no message can be made of {topic[:80]!a}: {type(exc).__name__}"
            raise UnsendableError("unsendable", text) from exc
        self._unanswered += 1
        return sent.mid

    def subscribe(self, topic: str, *, qos: int = 0) -> None:
        """Have `on_message` called with what comes to `topic`; with QoS 0 some may be left out."""
        _, mid = self._client.subscribe(topic, qos=qos)
        self._subscribed[mid] = topic

    def unsubscribe(self, topic: str) -> None:
        """Have nothing more of `topic`."""
        self._client.unsubscribe(topic)

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
        """Say goodbye, so that the broker does not send the will; harmless without a connection."""
        with contextlib.suppress(OSError, *NONSENSE):
            self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Drop the connection without a word."""
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        self._client.let_go()

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
        if self._connack is not None:  # a second one is nonsense, and must not undo the first
            return
        self._connack = reason
        self.granted = Granted.of(properties, retain=self.granted.retain)
        self._retain_available = bool(getattr(properties, "RetainAvailable", 1))

    def _disconnected(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._ended_by = reason

    def _published(
        self, client: mqtt.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any
    ) -> None:
        self._unanswered -= 1
        self._client.answered()
        refusal = str(reason) if reason.is_failure else None
        self._acks.append(Ack(mid=mid, refusal=refusal, of_topic=reason.value in OF_TOPIC))

    def _answered_subscription(
        self, client: mqtt.Client, userdata: Any, mid: int, reasons: list[ReasonCode], props: Any
    ) -> None:
        topic = self._subscribed.pop(mid, None)
        if topic is not None:
            refused = next((str(reason) for reason in reasons if reason.is_failure), None)
            self.subscriptions[topic] = refused

    def _message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload))
