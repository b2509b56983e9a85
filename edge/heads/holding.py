"""Whether an order holds now: not before it was made, and not after it has expired.

A clock that was never set says neither, so an order waits for it. Where no time service ever sets
it, it is believed after a while, but only for what it allows: nothing is refused by such a clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from edge.bundle.order import Order
from edge.errors import HeadRefusedError

__all__ = ["AHEAD_S", "OrderClock", "TimeNow", "holds", "system_time"]

AHEAD_S = 3600.0  # what the clock of a sender may be ahead
SEND_AGAIN = "send it again with the present edge-deploy"


@dataclass(frozen=True, kw_only=True)
class TimeNow:
    """Seconds since 1970; whether a time service vouches for them, and whether none is expected."""

    now_s: float
    synced: bool
    settled: bool = False


OrderClock = Callable[[], TimeNow]


def system_time() -> TimeNow:
    """Return the time of this machine, which is believed."""
    return TimeNow(now_s=time.time(), synced=True)


def holds(order: Order, at: TimeNow) -> bool:
    """Return whether an order holds; False: it waits for the clock.

    Raises `HeadRefusedError` for one that has expired, is from the future, or has no end.
    """
    if not order.expires_s:
        text = f"order {order.number} does not say until when it holds"
        raise HeadRefusedError("format", text, suggestion=SEND_AGAIN)
    early, late = at.now_s < order.made_s - AHEAD_S, at.now_s > order.expires_s
    if not at.synced:
        return at.settled and not early and not late
    if late:
        text = f"order {order.number} held until {_day(order.expires_s)}"
        raise HeadRefusedError("expired", text, suggestion="send it again")
    if early:
        text = f"order {order.number} is of {_day(order.made_s)}, which is to come"
        raise HeadRefusedError("future", text, suggestion="is the sender's clock right?")
    return True


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M} UTC"
