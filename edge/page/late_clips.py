"""Clips that are kept after their event was answered.

Whoever looks at the newest event answers it while it is heard, and a cluster has more of them than
somebody should wait for.
"""

from __future__ import annotations

import logging
import threading

from edge.errors import EdgeError
from edge.page.answers import Answers
from edge.page.place import Shown
from edge.store.events import find
from edge.store.reading import reading

__all__ = ["LateClips", "fetch_late_clips"]

log = logging.getLogger(__name__)


def fetch_late_clips(answers: Answers, place: Shown) -> None:
    """Keep the clips that answers lack and that are there now."""
    waiting = answers.lacking_clips()
    if not waiting or not place.store.is_file():
        return
    with reading(place.store) as db:
        for id in waiting:
            event = find(db, id)
            placed = None if event is None else place.clips.placed(event)
            if event is not None and placed is not None:
                answers.give_clip(event, placed)


class LateClips:
    """Fetches late clips in a thread of its own, one at a time. Any thread.

    What it did not come to is fetched before the next export.
    """

    def __init__(self, answers: Answers, place: Shown) -> None:
        self._answers, self._place = answers, place
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False

    def fetch(self) -> None:
        """Begin, or begin again after the present round."""
        with self._lock:
            self._again = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is left to do."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._again:
                    self._thread = None
                    return
                self._again = False
            try:
                fetch_late_clips(self._answers, self._place)
            except (EdgeError, OSError) as exc:
                log.warning("clips of answers are to be copied later: %s", exc)
