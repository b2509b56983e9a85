"""The far end of each delivery: where a recorder's rows are to arrive, to be killed and frozen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Protocol

from edge.backoff import Backoff
from edge.config.sections import MqttConfig
from edge.mqtt.sink import MqttSink
from edge.recorder.deliveries import Delivery
from edge.store.store import Store
from edge.threads import Died
from tests.support.broker import Broker, Meter, Subscriber, until

__all__ = ["FarEnd", "MqttFarEnd", "quick_sink"]


class FarEnd(Protocol):
    """Somebody who receives what one kind of delivery brings. What it has acknowledged, it keeps.

    `sink` is the name of the outbox that the delivery empties.
    """

    sink: str

    def delivery(self, store: Store, died: Died) -> Delivery:
        """A delivery from `store` to here, not yet started, which soon tries again."""

    def received(self) -> Counter[tuple[str, str]]:
        """How often each detection has come, by its id and state."""

    def freeze(self) -> None:
        """Keep connections open, and answer nothing."""

    def thaw(self) -> None:
        """Go on after `freeze`."""

    def kill(self) -> None:
        """Go away, in the middle of whatever it does."""

    def start(self) -> None:
        """Come back after `kill`."""

    def close(self) -> None:
        """Go away for good."""


def quick_sink(port: int, store: Store, died: Died, *, wait_for_sync_s: float = 60.0) -> MqttSink:
    """A sink that sends a thousand messages a second, and soon tries again."""
    return MqttSink(
        MqttConfig(host="127.0.0.1", port=port, rate_per_s=1000.0, wait_for_sync_s=wait_for_sync_s),
        device="r1",
        store=store,
        info={},
        meter=Meter(),
        died=died,
        backoff=Backoff(first_s=0.02, longest_s=0.2),
    )


class MqttFarEnd:
    """A broker, and somebody who listens to it."""

    sink = "mqtt"

    def __init__(self, folder: Path) -> None:
        self._broker = Broker(folder)
        self._broker.start()
        self._subscriber = Subscriber(self._broker.port)

    def delivery(self, store: Store, died: Died) -> Delivery:
        return quick_sink(self._broker.port, store, died)

    def received(self) -> Counter[tuple[str, str]]:
        return self._subscriber.counted()

    def freeze(self) -> None:
        self._broker.freeze()

    def thaw(self) -> None:
        self._broker.thaw()

    def kill(self) -> None:
        # What mosquitto owes an absent subscriber may die with it.
        assert until(lambda: self._subscriber.connected)
        self._broker.kill()

    def start(self) -> None:
        self._broker.start()

    def close(self) -> None:
        self._broker.thaw()
        self._subscriber.__exit__()
        self._broker.kill()
