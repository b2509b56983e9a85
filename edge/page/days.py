"""What was heard on a day, counted for the page by its hours.

An event counts where it begins, in the recorder's own time. Beside each count are the seconds that
were heard then, without which silence and deafness look the same.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from math import ceil

from edge.clock import rfc3339
from edge.page.place import Shown
from edge.store.dating import UNDATABLE, time_of

__all__ = ["Day", "Hour", "Minute", "day_of", "utc_of"]

EVENTS = """
SELECT start_utc, label FROM latest WHERE start_utc >= ? AND start_utc < ?
"""
MINUTES = """
SELECT start_utc, heard_s, gated_s, dropped_s, lost_s, private_s FROM effort
WHERE start_utc >= ? AND start_utc < ? ORDER BY start_utc
"""


@dataclass(frozen=True, kw_only=True)
class Minute:
    """A row of the ledger that begins at `start`: the seconds of it that were heard, or were not
    and why.
    """

    start: datetime
    heard_s: float
    gated_s: float
    dropped_s: float
    lost_s: float
    private_s: float

    @property
    def deaf_s(self) -> float:
        """Seconds in which nothing could be heard."""
        return self.gated_s + self.dropped_s + self.lost_s + self.private_s


@dataclass(frozen=True, kw_only=True)
class Hour:
    """An hour of a day: the seconds heard and not heard in it, and its events. `start` is local.

    `over`: it is behind us. Of one that is `to_come` nothing is said.
    """

    start: datetime
    over: bool
    to_come: bool
    heard_s: float
    deaf_s: float
    events: int

    @property
    def state(self) -> str:
        """Return how well it was heard: `none`, `part`, or nothing to say."""
        if self.to_come or not self.over:
            return ""
        return "none" if self.heard_minutes < 1 else "part" if self.heard_minutes < 55 else ""

    @property
    def heard_minutes(self) -> int:
        """Minutes that were heard, rounded."""
        return round(self.heard_s / 60)


@dataclass(frozen=True, kw_only=True)
class Day:
    """A day of the recorder's own time, which may have 23 or 25 hours.

    `counts` has for each label, None for unknown ones, the events of each hour.
    """

    date: date
    begin: datetime
    end: datetime
    hours: Sequence[Hour]
    counts: Mapping[str | None, Sequence[int]]
    minutes: Sequence[Minute]

    @property
    def events(self) -> int:
        """How many events began on that day."""
        return sum(hour.events for hour in self.hours)

    @property
    def heard_s(self) -> float:
        """Seconds that were heard."""
        return sum(hour.heard_s for hour in self.hours)


def day_of(db: sqlite3.Connection, day: date, *, place: Shown, now: datetime) -> Day:
    """Return what was heard on a day, as far as it is over `now`."""
    # In UTC: between two times of one zone, Python counts what the clocks on the wall show.
    midnights = (place.midnight(day), place.midnight(day + timedelta(days=1)))
    begin, end = (midnight.astimezone(timezone.utc) for midnight in midnights)
    span = (rfc3339(begin), rfc3339(end))
    number = max(1, ceil((end - begin) / timedelta(hours=1)))  # there are zones of half an hour
    events: dict[str | None, Counter[int]] = {}
    for row in db.execute(EVENTS, span):
        at = _hour_in(row["start_utc"], begin, number)
        label = row["label"]
        if at is not None and (label is None or isinstance(label, str)):
            events.setdefault(label, Counter())[at] += 1
    minutes = _minutes(db, span)
    heard, deaf = [0.0] * number, [0.0] * number
    for minute in minutes:
        hour = min(number - 1, int((minute.start - begin) / timedelta(hours=1)))
        heard[hour] += minute.heard_s
        deaf[hour] += minute.deaf_s
    hours = [
        Hour(
            start=place.local(begin + timedelta(hours=i)),
            over=begin + timedelta(hours=i + 1) <= now,
            to_come=begin + timedelta(hours=i) > now,
            heard_s=heard[i],
            deaf_s=deaf[i],
            events=sum(counts[i] for counts in events.values()),
        )
        for i in range(number)
    ]
    counts = {
        label: [found[i] for i in range(number)]
        for label, found in sorted(events.items(), key=lambda entry: -sum(entry[1].values()))
    }
    return Day(date=day, begin=begin, end=end, hours=hours, counts=counts, minutes=minutes)


def _minutes(db: sqlite3.Connection, span: tuple[str, str]) -> list[Minute]:
    found = []
    for start_utc, *seconds in db.execute(MINUTES, span):
        start = utc_of(start_utc)
        if start is not None and all(isinstance(value, int | float) for value in seconds):
            heard_s, gated_s, dropped_s, lost_s, private_s = map(float, seconds)
            found.append(
                Minute(
                    start=start,
                    heard_s=heard_s,
                    gated_s=gated_s,
                    dropped_s=dropped_s,
                    lost_s=lost_s,
                    private_s=private_s,
                )
            )
    return found


def _hour_in(start_utc: str, begin: datetime, number: int) -> int | None:
    start = utc_of(start_utc)
    return None if start is None else min(number - 1, int((start - begin) / timedelta(hours=1)))


def utc_of(text: object) -> datetime | None:
    """Return a time of the store, None where damage has left none."""
    try:
        time = time_of(text)  # type: ignore[arg-type]
        return time.astimezone(timezone.utc)
    except UNDATABLE:
        return None
