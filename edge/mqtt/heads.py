"""Orders to use another head, and the head in parts, over the connection to the broker.

The order is retained at `PREFIX/DEVICE/command/head`. Only when it is believed are the parts asked
for, which lie at `PREFIX/head.parts/SHA256/NUMBER` once for all recorders. Nothing large is read
before somebody who is trusted has signed for it, and each connection costs an order, not a head.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from edge.bundle.order import LARGEST_ORDER_BYTES, PART_BYTES, Order
from edge.mqtt.session import Session

__all__ = ["DEAF_S", "HeadInbox", "HeadListener", "order_topic", "part_topic"]

DEAF_S = 3600.0  # after a flood on a topic, that is not listened to for so long
ASK_AGAIN_S = 60.0  # for parts that have not come
LONGEST_S = 3600.0  # for parts that were not what was ordered, again and again


class HeadInbox(Protocol):
    """Believes orders, takes what they name, and knows what others are told; any thread."""

    def believed(self, *contents: bytes) -> Order | None:
        """Return an order that is believed and not dealt with."""
        ...

    def bring(self, order: Order, packed: bytes) -> bool:
        """Take the packed head; return whether it is what was ordered."""
        ...

    @property
    def said(self) -> tuple[int, dict[str, Any]]:
        """What others are told, and a number that changes with it."""
        ...


def order_topic(prefix: str, device: str) -> str:
    """Return where an order for a recorder is retained."""
    return f"{prefix}/{device}/command/head"


def part_topic(prefix: str, order: Order, part: int) -> str:
    """Return where a part of a packed head is retained; no device's name has a dot in it."""
    return f"{prefix}/head.parts/{order.content}/{part}"


class HeadListener:
    """Asks for an order at each connection, and for the parts of a new one. One thread only.

    Parts that have come are kept over connections, so that a poor one gets on.
    """

    def __init__(
        self,
        inbox: HeadInbox,
        *,
        prefix: str,
        device: str,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._prefix = prefix
        self._monotonic_s = monotonic_s
        self._listens_from_s = self._asked_s = 0.0
        self._again_s = ASK_AGAIN_S
        self._session: Session | None = None
        self._order: Order | None = None
        self._parts: dict[int, bytes] = {}
        self.topic = order_topic(prefix, device)

    @property
    def said(self) -> tuple[int, dict[str, Any]]:
        """See `HeadInbox.said`."""
        return self._inbox.said

    def begin(self, session: Session) -> None:
        """Listen over a new connection."""
        self._session = None
        if self._monotonic_s() < self._listens_from_s:
            return
        self._session = session
        session.subscribe(self.topic, qos=1)
        if self._order is not None:
            self._ask()

    def flooded(self) -> None:
        """Note that more came than a recorder reads."""
        self._listens_from_s = self._monotonic_s() + DEAF_S
        self._session = None

    def step(self) -> None:
        """Ask again for parts that did not come; about once a second."""
        waits = self._order is not None and self._session is not None
        if waits and self._monotonic_s() - self._asked_s >= self._again_s:
            self._ask()

    def message(self, topic: str, payload: bytes) -> None:
        """Take what the broker has sent, to whatever topic."""
        if topic == self.topic:
            if payload:  # an empty one takes back what is retained
                self._take_order(payload)
        elif self._order is not None:
            self._take_part(self._order, topic, payload)

    def _take_order(self, payload: bytes) -> None:
        order = self._inbox.believed(payload[: LARGEST_ORDER_BYTES + 1])
        if order is None or order == self._order:
            return
        self._forget()
        self._order = order
        self._ask()

    def _take_part(self, order: Order, topic: str, payload: bytes) -> None:
        number = self._topics(order).get(topic)
        if number is None or len(payload) > PART_BYTES:
            return
        self._parts[number] = payload
        if len(self._parts) == order.parts:
            packed = b"".join(self._parts[n] for n in range(order.parts))
            if self._inbox.bring(order, packed):
                self._forget()
            else:
                self._parts.clear()
                self._again_s = min(LONGEST_S, 4 * self._again_s)

    def _ask(self) -> None:
        if self._session is not None and self._order is not None:
            self._asked_s = self._monotonic_s()
            for topic in self._topics(self._order, missing=True):
                self._session.subscribe(topic, qos=1)

    def _forget(self) -> None:
        if self._session is not None and self._order is not None:
            for topic in self._topics(self._order):
                self._session.unsubscribe(topic)
        self._order = None
        self._again_s = ASK_AGAIN_S
        self._parts.clear()

    def _topics(self, order: Order, *, missing: bool = False) -> dict[str, int]:
        """Return the number of each part, or of each that is missing, by its topic."""
        numbers = (n for n in range(order.parts) if not (missing and n in self._parts))
        return {part_topic(self._prefix, order, n): n for n in numbers}
