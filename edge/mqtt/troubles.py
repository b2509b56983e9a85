"""What goes wrong with a broker: each time in the metric, and now and then in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from edge.rate_limited_log import RateLimitedLog

__all__ = ["Troubles"]

NAMED = 50  # topics with lines of their own; the others share one
EVERY_S = 60.0


class Troubles:
    """Counts by `count` and logs at most a line in ten minutes for each thing. One thread only.

    The end of a steady connection is told anew, at most once a minute.
    """

    def __init__(
        self,
        log: logging.Logger,
        count: Callable[[str], None],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._count = count
        self._monotonic_s = monotonic_s
        self._limited = RateLimitedLog(log, monotonic_s=monotonic_s)
        self._of_connection = RateLimitedLog(log, monotonic_s=monotonic_s)
        self._named: set[str] = set()
        self._connected_s = self._steady_s = -EVERY_S

    def trouble(self, reason: str, message: str, *, topic: str = "") -> None:
        """Tell of trouble by one of `edge.mqtt.reasons.ERROR_REASONS`, and of which topic."""
        self._count(reason)
        if not topic:
            self._of_connection.warning(reason, f"mqtt: {message}")
            return
        if len(self._named) < NAMED:
            self._named.add(topic)
        about = topic if topic in self._named else "others"
        self._limited.warning(f"{reason} {about}", f"mqtt: {message}")

    def once(self, about: str, message: str) -> None:
        """Log what is no fault of now, but has to be known; it is not counted."""
        self._limited.warning(about, f"mqtt: {message}")

    def steady(self) -> None:
        """Note that a connection has lasted: what ends it is news."""
        now_s = self._monotonic_s()
        if now_s - self._steady_s >= EVERY_S:
            self._steady_s = now_s
            self._of_connection = RateLimitedLog(self._log, monotonic_s=self._monotonic_s)

    def connected(self, where: str) -> None:
        """Log that there is a broker; one that comes and goes all the time is one line a minute."""
        now_s = self._monotonic_s()
        if now_s - self._connected_s >= EVERY_S:
            self._connected_s = now_s
            self._log.info("connected to the broker %s", where)
