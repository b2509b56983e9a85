"""One stream after another, on the pipeline's thread, as reloads hand them over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge.recorder.recorder import Recorder
from edge.threads import Died, WatchedThread

__all__ = ["Streams"]

log = logging.getLogger(__name__)


class Streams:
    """Runs recorders, each until it is stopped; `current` is the one at work.

    Every method is the main thread's, but `current` may be asked by any.
    """

    def __init__(self, first: Recorder, *, died: Died) -> None:
        self.current = first
        self._next: Callable[[], Recorder] | None = None
        self._swap = threading.Lock()  # over which one is at work, and which is next
        self._handed_over = threading.Event()
        self._thread = WatchedThread(self._run, name="pipeline", died=died)

    def start(self) -> None:
        """Begin with the first."""
        self._thread.start()

    def hand_over(self, make_next: Callable[[], Recorder], *, wait_s: float) -> None:
        """End the present stream, then go on with what `make_next` returns.

        It is called between the two, on the pipeline's thread. Waits until then, for `wait_s` at
        most.
        """
        with self._swap:
            self._handed_over.clear()
            self._next = make_next
            self.current.stop()
        if not self._handed_over.wait(wait_s):
            log.error("the stream did not end within %g s; the next one waits for it", wait_s)

    def stop(self, wait_s: float) -> None:
        """Let the open events end and be stored, and end the thread, within `wait_s`."""
        self._thread.expect_end()
        with self._swap:
            self._next = None
            self.current.stop()
        self._thread.join(wait_s)
        if self._thread.alive:
            log.error("the pipeline did not end within %g s; what it had open is lost", wait_s)

    @property
    def handing_over(self) -> bool:
        """Whether the present stream has been asked to end and has not yet."""
        return self._next is not None

    def _run(self) -> None:
        try:
            while self._follow():
                self._handed_over.set()
        finally:
            self._handed_over.set()  # nobody waits for a thread that dies

    def _follow(self) -> bool:
        """Record a stream to its end; return whether there is another."""
        self.current.run()
        with self._swap:
            make, self._next = self._next, None
            if make is not None:
                self.current = make()
        return make is not None
