"""Monotonic time, and waiting in it; a fake of it lets tests run without sleeping."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["SystemTimer", "Timer"]


class Timer(Protocol):
    """Monotonic time, and waiting in it; used by one thread."""

    def monotonic_s(self) -> float:
        """Return seconds by the clock that stamps the callbacks."""
        ...

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait `seconds`, or until `stop` is set; return whether it is."""
        ...


class SystemTimer:
    """The machine's own `Timer`."""

    def monotonic_s(self) -> float:
        """See `Timer.monotonic_s`."""
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """See `Timer.wait`."""
        return stop.wait(seconds)
