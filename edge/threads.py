"""Threads whose end is noticed when it is a fault."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge.errors import EdgeError

__all__ = ["Died", "WatchedThread"]

log = logging.getLogger(__name__)

Died = Callable[[BaseException], object]  # called on the thread that dies; must not block


class WatchedThread:
    """Runs `work` on a thread of its own, and calls `died` with the reason if that ends wrongly.

    It ends wrongly when it raises, and when it returns before `expect_end` was called. It is a
    daemon thread: one that hangs does not keep the process from ending.
    """

    def __init__(self, work: Callable[[], object], *, name: str, died: Died) -> None:
        self._work = work
        self._died = died
        self._end_expected = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def expect_end(self) -> None:
        """Say that `work` is being asked to return."""
        self._end_expected.set()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until it has ended, for `timeout_s` at most."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._work()
            if not self._end_expected.is_set():
                raise EdgeError(f"the thread {self._thread.name} ended, and nobody had asked it to")
        except BaseException as exc:
            log.critical("the thread %s died", self._thread.name, exc_info=exc)
            self._died(exc)
