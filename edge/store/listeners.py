"""Who is called when something new waits to be sent."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Listeners"]


class Listeners:
    """Callbacks, which must not block. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def add(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called from now on; calling the result ends it."""
        with self._lock:
            self._callbacks.append(callback)

        def end() -> None:
            with self._lock:
                self._callbacks.remove(callback)

        return end

    def notify(self, added: bool) -> bool:
        """Call them if something was `added`; return that."""
        if added:
            for callback in list(self._callbacks):
                callback()
        return added
