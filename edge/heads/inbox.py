"""What was sent, between the threads that bring it and the one that takes it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.bundle.digest import sha256_of
from edge.bundle.order import Order, read_order
from edge.bundle.signature import PublicKey
from edge.errors import HeadRefusedError
from edge.heads.holding import OrderClock, holds, system_time
from edge.rate_limited_log import RateLimitedLog

__all__ = ["Inbox", "SentHead"]

REMEMBERED = 64  # orders that were refused, which are told once
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SentHead:
    """An order that is believed, with the head as it was packed."""

    order: Order
    packed: bytes


class Inbox:
    """Believes orders of the `trusted` keys for `device`, and hands over what they brought.

    Any thread. `wake` is called when there is something to take, `refused` with the word for a
    refusal; neither may block.
    """

    def __init__(
        self,
        *,
        device: str,
        trusted: Sequence[PublicKey],
        wake: Callable[[], None],
        refused: Callable[[str], None],
        clock: OrderClock = system_time,
    ) -> None:
        self._device = device
        self._trusted = tuple(trusted)
        self._wake = wake
        self._refused = refused
        self._clock = clock
        self._lock = threading.Lock()
        self._log = RateLimitedLog(log)
        self._number = 0
        self._waiting: SentHead | None = None
        self._told: OrderedDict[str, None] = OrderedDict()
        self._said: dict[str, Any] = {}
        self._edition = 0

    # For those that bring orders

    def believed(self, *contents: bytes) -> Order | None:
        """Return the newest order in `contents` if it is for this recorder and not dealt with.

        Whatever is refused is told once, and counted.
        """
        orders = filter(None, map(self._read, contents))
        order = max(orders, key=lambda order: order.number, default=None)
        with self._lock:
            known = max(self._number, self._waiting.order.number if self._waiting else 0)
        if order is None or order.number == known:
            return None
        if order.number < known:
            text = f"order {order.number} is older than {known}, which was dealt with"
            self.refuse(HeadRefusedError("old", text), order=order, about=str(order))
            return None
        return None if self._holds(order) is None else order

    def _holds(self, order: Order) -> bool | None:
        """Return whether an order holds, False while that waits for the clock, None if not."""
        try:
            found = holds(order, self._clock())
        except HeadRefusedError as exc:
            self.refuse(exc, order=order, about=str(order))
            return None
        if not found:
            text = f"order {order.number} waits until the clock of this recorder is set"
            self._log.warning("clock", text)
        return found

    def _read(self, content: bytes) -> Order | None:
        try:
            order = read_order(content, self._trusted)
            if order.device not in ("", self._device):
                text = f"order {order.number} is for {order.device}, and this is {self._device}"
                raise HeadRefusedError("other_device", text)
        except HeadRefusedError as exc:
            self.refuse(exc, about=sha256_of(content))
            return None
        return order

    def bring(self, order: Order, packed: bytes) -> bool:
        """Hand over what `order` names; return whether `packed` is that."""
        if len(packed) != order.size or sha256_of(packed) != order.content:
            text = f"what came for order {order.number} is not what was ordered"
            self.refuse(HeadRefusedError("damaged", text), order=order, about=sha256_of(packed))
            return False
        with self._lock:
            if self._waiting is None or self._waiting.order.number < order.number:
                self._waiting = SentHead(order=order, packed=packed)
        self._wake()
        return True

    def refuse(self, reason: HeadRefusedError, *, about: str, order: Order | None = None) -> None:
        """Tell and count that something is not taken; once for each thing that it is `about`."""
        with self._lock:
            key = f"{reason.word} {about}"
            if key in self._told:
                return
            self._told[key] = None
            while len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
            self._log.warning(reason.word, f"a head that was sent is refused: {reason}")
            number = order.number if order else None
            refused = {"number": number, "reason": reason.word, "text": str(reason)}
            self._show({**self._said, "refused": refused})
        self._refused(reason.word)

    # For the one that takes heads

    def believe(self, trusted: Sequence[PublicKey], *, device: str) -> None:
        """Believe these keys, and be that recorder, from now on."""
        self._trusted, self._device = tuple(trusted), device

    def take(self) -> SentHead | None:
        """Return what waits, and wait for the next; None also while the clock has to be set."""
        with self._lock:
            sent = self._waiting
        if sent is None or (found := self._holds(sent.order)) is False:
            return None
        with self._lock:
            if self._waiting is sent:
                self._waiting = None
        return sent if found else None

    def dealt_with(self, number: int, said: Mapping[str, Any]) -> None:
        """Note the number of the last order that was dealt with, and what others are told now."""
        with self._lock:
            self._number = max(self._number, number)
            self._show({**self._said, **said})

    # For those that tell others

    @property
    def said(self) -> tuple[int, dict[str, Any]]:
        """What others are told, and a number that changes with it."""
        with self._lock:
            return self._edition, dict(self._said)

    def _show(self, said: dict[str, Any]) -> None:
        self._said = said
        self._edition += 1
