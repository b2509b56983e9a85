"""How many events there were in the day before a moment, and how much of it was heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge.clock import rfc3339
from edge.errors import StoreError
from edge.store.dating import time_of
from edge.store.history import AT_ONCE, BEYOND
from edge.store.store import Store

__all__ = ["DayBefore", "day_before"]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MOST = 100_000  # rows; a day with more events has enough of them
HEARD = "SELECT coalesce(sum(heard_s), 0) FROM effort WHERE start_utc >= ? AND start_utc < ?"


@dataclass(frozen=True, kw_only=True)
class DayBefore:
    """Seconds heard and events begun in 24 hours, and events in the first hour of them.

    That hour is the same of the day as the one that follows.
    """

    heard_s: float
    events: int
    in_same_hour: int

    @property
    def events_an_hour(self) -> float:
        """Events in an hour of listening, or in the same hour of the day where that had more."""
        mean = self.events / (self.heard_s / 3600.0) if self.heard_s > 0 else 0.0
        return max(mean, float(self.in_same_hour))


def day_before(store: Store, now: datetime) -> DayBefore | None:
    """Return what the 24 hours before `now` had; None while the store cannot be read."""
    begin = now - DAY
    try:
        heard_s = store.change(lambda db, _: _heard_s(db, begin, now))
        starts = _starts(store, begin, now)
    except StoreError:
        return None
    same = sum(start < begin + HOUR for start in starts)
    return DayBefore(heard_s=heard_s, events=len(starts), in_same_hour=same)


def _heard_s(db: Any, begin: datetime, end: datetime) -> float:
    return float(db.execute(HEARD, (rfc3339(begin), rfc3339(end))).fetchone()[0])


def _starts(store: Store, begin: datetime, end: datetime) -> list[datetime]:
    """Return when each event between the two began; the newest rows are read, and no others.

    Rows are in the order of their storing, which is almost that of their beginnings.
    """
    found: list[datetime] = []
    before, read = BEYOND, 0
    while read < MOST:
        rows = store.begun(before, newest_first=True, limit=AT_ONCE)
        starts = [start for _, content in rows if (start := _start(content)) is not None]
        found += [start for start in starts if begin <= start < end]
        read += len(rows)
        if len(rows) < AT_ONCE or (starts and max(starts) < begin):
            break
        before = rows[-1][0]
    return found


def _start(content: dict[str, Any]) -> datetime | None:
    try:
        return time_of(content["start_utc"])
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError):
        return None  # a row that damage has made undatable
