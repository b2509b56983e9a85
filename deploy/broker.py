"""A connection of a person's computer to the broker of a fleet, by MQTT 5, which says refusals."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.config import load_config
from edge.config.sections import MqttConfig
from edge.errors import ConfigError, DeliveryError
from edge.mqtt.security import secure

__all__ = ["BrokerConnection", "broker_options", "broker_settings", "connected"]

ANSWER_S = 30.0
MOST_UNANSWERED = 20  # messages; brokers ask for no fewer
OnMessage = Callable[[str, bytes], None]


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command have `--broker` and `--config`."""
    command = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="Configuration whose section mqtt says how to reach the broker: TLS, certificates, "
        "passwords, topic_prefix.",
    )(command)
    return click.option(
        "--broker",
        metavar="HOST[:PORT]",
        help="The recorders' broker, instead of what the configuration says.  [default: localhost]",
    )(command)


def broker_settings(broker: str | None, file: Path | None) -> MqttConfig:
    """Return how to reach the broker; raises `ConfigError`."""
    config = load_config(file).mqtt
    if broker is None:
        return config
    host, colon, port = broker.rpartition(":") if not broker.endswith("]") else (broker, "", "")
    changes: dict[str, Any] = {"host": (host if colon else broker).strip("[]")}
    if colon:
        if not port.isdecimal() or not 1 <= int(port) <= 65_535:
            raise ConfigError("is not a port", key="--broker", value=broker)
        changes["port"] = int(port)
    return config.model_copy(update=changes)


class BrokerConnection:
    """An open connection; `prefix` is that of all topics. One thread uses it.

    It is opened again by itself when it is lost, with all subscriptions. Messages come on a thread
    of its own.
    """

    def __init__(self, config: MqttConfig, on_message: OnMessage) -> None:
        self.prefix = config.topic_prefix
        self._config = config
        self._where = f"{config.host}:{config.port}"
        self._topics: list[str] = []
        self._answered = threading.Condition()
        self._connack: ReasonCode | None = None
        self._refused: dict[int | None, str | None] = {}  # what became of each message, by its id
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_publish = self._published
        self._client.on_subscribe = self._subscribed
        self._client.on_message = lambda client, userdata, m: on_message(m.topic, bytes(m.payload))

    def open(self) -> None:
        """Connect; raises `DeliveryError`."""
        secure(self._client, self._config)
        try:
            self._client.connect(self._config.host, self._config.port, self._config.keepalive_s)
        except ssl.SSLError as exc:
            reason = f"no TLS with the broker {self._where}: {exc.reason or exc}"
            raise DeliveryError("tls", reason) from exc
        except (OSError, UnicodeError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            text = f"no connection to the broker {self._where}: {reason}"
            raise DeliveryError("unreachable", text) from exc
        self._client.loop_start()
        self._wait(lambda: self._connack is not None, "does not answer")
        if self._connack is not None and self._connack.is_failure:
            raise DeliveryError("refused", f"the broker {self._where} refuses: {self._connack}")

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()
        # Without circles the client is gone with this object, and closes what it has open.
        self._client.on_connect = self._client.on_publish = None
        self._client.on_subscribe = self._client.on_message = None

    def subscribe(self, *topics: str) -> None:
        """Have messages to these topics, what is retained there first; raises `DeliveryError`."""
        self._topics += topics
        _, mid = self._client.subscribe([(topic, 1) for topic in topics])
        self._await(mid, f"a subscription to {', '.join(topics)}")

    def publish(self, messages: Iterator[tuple[str, bytes]], *, days: float) -> None:
        """Have messages retained for so many days; raises `DeliveryError`.

        The broker has all of them, or said which it does not take, when this returns.
        """
        lasting = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        lasting.MessageExpiryInterval = round(days * 86_400)
        open_ones: dict[int, str] = {}
        for topic, payload in messages:
            sent = self._client.publish(topic, payload, qos=1, retain=True, properties=lasting)
            open_ones[sent.mid] = topic
            while len(open_ones) >= MOST_UNANSWERED:
                self._finish(open_ones)
        while open_ones:
            self._finish(open_ones)

    def _finish(self, open_ones: dict[int, str]) -> None:
        mid = next(iter(open_ones))
        self._await(mid, f"a message to {open_ones.pop(mid)}")

    def _await(self, mid: int | None, what: str) -> None:
        self._wait(lambda: mid in self._refused, f"does not answer {what}")
        refusal = self._refused.pop(mid)
        if refusal is not None:
            text = f"the broker {self._where} does not take {what}: {refusal}"
            raise DeliveryError("puback", text)

    def _wait(self, done: Callable[[], bool], trouble: str) -> None:
        end_s = time.monotonic() + ANSWER_S
        with self._answered:
            if not self._answered.wait_for(done, max(0.0, end_s - time.monotonic())):
                raise DeliveryError("unanswered", f"the broker {self._where} {trouble}")

    # Called by paho, on its thread.

    def _connected(
        self, client: mqtt.Client, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        with self._answered:
            self._connack = reason
            self._answered.notify_all()
        if self._topics and not reason.is_failure:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _published(
        self, client: mqtt.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any
    ) -> None:
        self._note(mid, str(reason) if reason.is_failure else None)

    def _subscribed(
        self, client: mqtt.Client, userdata: Any, mid: int, reasons: list[ReasonCode], props: Any
    ) -> None:
        self._note(mid, next((str(reason) for reason in reasons if reason.is_failure), None))

    def _note(self, mid: int, refusal: str | None) -> None:
        with self._answered:
            self._refused[mid] = refusal
            self._answered.notify_all()


@contextmanager
def connected(config: MqttConfig, on_message: OnMessage) -> Iterator[BrokerConnection]:
    """Give an open connection; raises `DeliveryError`."""
    connection = BrokerConnection(config, on_message)
    try:
        connection.open()
        yield connection
    finally:
        connection.close()
