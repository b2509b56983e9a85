"""What a recorder has found since midnight: the state that Home Assistant shows.

It is made of the first message of each event, so that neither the end of an earlier event nor a
later one that was delayed changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from edge.errors import StoreError
from edge.store.dating import time_of
from edge.store.history import AT_ONCE, BEYOND
from edge.store.store import Store

__all__ = ["Today"]

SHOWN = ("label", "common_name", "scientific_name", "score", "start_utc")


class Today:
    """Counts the events that have begun today, of named species and unknown ones apart, by the
    recorder's own time zone.

    One thread only.
    """

    def __init__(
        self,
        store: Store,
        *,
        device: str,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._store = store
        self._device = device
        self._now = now
        self._of: tuple[date, int] | None = None  # the day, and the generation of the store
        self._number = 0  # of the last row that was read
        self._events = self._unnamed = 0
        self._last: Mapping[str, Any] = {}

    def summary(self) -> dict[str, Any] | None:
        """Return how many events there are, and the last of a named species; None while the store
        cannot be read.
        """
        of = (self._now().date(), self._store.generation)
        try:
            if of != self._of:
                self._begin(of[0])
                self._of = of
            while rows := self._rows(self._number, newest_first=False):
                for number, content in rows:
                    self._count(content, of[0], newer=True)
                    self._number = number
        except StoreError:
            return None
        return {
            "device": self._device,
            "date": of[0].isoformat(),
            "events": self._events,
            "unnamed": self._unnamed,
            **{key: self._last.get(key) for key in SHOWN},
        }

    def _begin(self, day: date) -> None:
        """Count back from the newest event to the first of a day before."""
        self._number, self._events, self._unnamed, self._last = 0, 0, 0, {}
        before = BEYOND
        while rows := self._rows(before, newest_first=True):
            self._number = max(self._number, rows[0][0])
            days = [self._count(content, day, newer=False) for _, content in rows]
            before = rows[-1][0]
            if any(found is not None and found < day for found in days) and day not in days:
                return

    def _rows(self, number: int, *, newest_first: bool) -> list[tuple[int, dict[str, Any]]]:
        return self._store.begun(number, newest_first=newest_first, limit=AT_ONCE)

    def _count(self, content: Mapping[str, Any], day: date, *, newer: bool) -> date | None:
        """Count an event if it is a named one of that day; return its day, None if unknown."""
        try:
            start = time_of(content["start_utc"])
            found = start.astimezone(self._now().tzinfo).date()
        except (ValueError, KeyError, AttributeError, OverflowError):
            return None  # a row that damage has made undatable
        if content.get("label") is None:
            self._unnamed += found == day
        else:
            self._events += found == day
            if newer or not self._last:
                self._last = content
        return found
