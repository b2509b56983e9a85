"""What carries the store's rows to the outside: a `Delivery` for each sink that is enabled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from edge.mqtt.heads import HeadInbox
from edge.mqtt.in_flight import UNANSWERED_S
from edge.mqtt.sink import MqttSink
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.store.store import Store
from edge.threads import Died
from edge.wire import info_payload

__all__ = ["Deliveries", "Delivery", "deliveries", "program_version", "start"]

log = logging.getLogger(__name__)


class Delivery(Protocol):
    """Carries rows on a thread of its own, and says when that thread dies."""

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        ...

    def start(self) -> None:
        """Begin; must not wait for the network."""
        ...

    def stop(self) -> None:
        """Say good-bye and end within 3 s."""
        ...


# `Died` is called, on the delivery's thread, with what has killed it. The last is where heads go
# that are sent to this recorder, None where none may be.
Deliveries = Callable[
    [RecorderPlan, Store, LiveClock, Metrics, Died, HeadInbox | None], list[Delivery]
]


def deliveries(
    plan: RecorderPlan,
    store: Store,
    clock: LiveClock,
    metrics: Metrics,
    died: Died,
    heads: HeadInbox | None = None,
    *,
    unanswered_s: float = UNANSWERED_S,
) -> list[Delivery]:
    """Return the deliveries that the configuration enables, not yet started.

    A far end that acknowledges nothing for `unanswered_s` is one that does not work.
    """
    config = plan.config
    if not config.mqtt.enabled:
        return []
    info = info_payload(
        device=plan.device,
        site=config.device.site,
        position=config.site.position,
        boot_id=clock.boot_id,
        version=program_version(),
        provenance=plan.provenance,
        started=clock.now_utc(),
    )
    sink = MqttSink(
        config.mqtt,
        device=plan.device,
        store=store,
        info=info,
        meter=metrics,
        died=died,
        unanswered_s=unanswered_s,
    )
    return [sink.let_heads_come(heads) if heads is not None and config.heads.broker else sink]


def start(chosen: list[Delivery], running: ExitStack) -> None:
    """Start deliveries; closing the stack `running` ends them."""
    for delivery in chosen:
        delivery.start()
        running.callback(_end, delivery)


def _end(delivery: Delivery) -> None:
    delivery.stop()
    if delivery.alive:
        log.error("%s did not end in time; what it had to send waits", type(delivery).__name__)


def program_version() -> str:
    """Return the version of the installed package; a bare checkout has none, and gives 0."""
    try:
        return version("edge-monitor")
    except PackageNotFoundError:
        return "0"
