"""What was heard, counted for the page: a day by its hours, a label by days and hours.

An event counts where it begins, in the recorder's own time. Beside each count are the seconds that
were heard then, without which silence and deafness look the same.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from edge.clock import rfc3339
from edge.page.place import Place
from edge.store.dating import UNDATABLE, time_of

__all__ = ["Day", "Hour", "LabelHistory", "Minute", "SpeciesRow", "day_of", "history_of", "species"]

EVENTS = """
SELECT start_utc, label FROM detections WHERE last AND start_utc >= ? AND start_utc < ?
"""
MINUTES = """
SELECT start_utc, heard_s, gated_s, dropped_s, lost_s, private_s FROM effort
WHERE start_utc >= ? AND start_utc < ? ORDER BY start_utc
"""
LABELS = """
SELECT label, count(*) AS events, min(start_utc) AS first, max(start_utc) AS newest
FROM detections WHERE last GROUP BY label ORDER BY events DESC, label
"""
# The hour in UTC is the beginning of the text; no zone in use is off by less than a quarter.
OF_LABEL = """
SELECT substr(start_utc, 1, 13) AS hour, count(*) AS events FROM detections
WHERE last AND label = ? AND start_utc >= ? AND start_utc < ? GROUP BY hour
"""
# One hour each: faster than to group a year, which SQLite sorts first.
HEARD = "SELECT sum(heard_s) FROM effort WHERE start_utc >= ? AND start_utc < ?"
HOUR = "%Y-%m-%dT%H"  # begins every time within it
MOST_LABELS = 2000


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
    """An hour of a day: the seconds heard and not heard in it, and its events.

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


@dataclass(frozen=True, kw_only=True)
class SpeciesRow:
    """A label with its events, None for unknown ones."""

    label: str | None
    events: int
    first: datetime | None
    newest: datetime | None


@dataclass(frozen=True, kw_only=True)
class LabelHistory:
    """Events of a label by day, and by hour of the day, with the hours that were heard."""

    days: Mapping[date, int]
    heard_h: Mapping[date, float]
    by_hour: Sequence[int]
    heard_by_hour: Sequence[float]


def day_of(db: sqlite3.Connection, day: date, *, place: Place, now: datetime) -> Day:
    """Return what was heard on a day, as far as it is over `now`."""
    begin, end = place.midnight(day), place.midnight(day + timedelta(days=1))
    span = (rfc3339(begin), rfc3339(end))
    number = max(1, round((end - begin) / timedelta(hours=1)))
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
            start=begin + timedelta(hours=i),
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


def species(db: sqlite3.Connection) -> list[SpeciesRow]:
    """Return every label that was ever heard, the most frequent first."""
    rows = db.execute(f"{LABELS} LIMIT {MOST_LABELS}").fetchall()
    return [
        SpeciesRow(
            label=row["label"],
            events=row["events"],
            first=_time(row["first"]),
            newest=_time(row["newest"]),
        )
        for row in rows
        if row["label"] is None or isinstance(row["label"], str)
    ]


def history_of(
    db: sqlite3.Connection, label: str, *, first: date, last: date, place: Place
) -> LabelHistory:
    """Return how often a label was heard on the days from `first` to `last`."""
    begin, end = place.midnight(first), place.midnight(last + timedelta(days=1))
    values = (label, rfc3339(begin), rfc3339(end))
    events = [
        (place.local(at), count)
        for hour, count in db.execute(OF_LABEL, values)
        if (at := _time(f"{hour}:00:00Z")) is not None
    ]
    days: Counter[date] = Counter()
    by_hour = [0] * 24
    for at, count in events:
        days[at.date()] += count
        by_hour[at.hour] += count
    heard_h: dict[date, float] = {}
    heard_by_hour = [0.0] * 24
    for at, heard_s in _heard_by_hour(db, begin, end, place):
        heard_h[at.date()] = heard_h.get(at.date(), 0.0) + heard_s / 3600
        heard_by_hour[at.hour] += heard_s / 3600
    return LabelHistory(days=days, heard_h=heard_h, by_hour=by_hour, heard_by_hour=heard_by_hour)


def _heard_by_hour(
    db: sqlite3.Connection, begin: datetime, end: datetime, place: Place
) -> Iterator[tuple[datetime, float]]:
    """Yield each hour in which something was heard, and the seconds that were."""
    # Nothing is asked for the hours before the ledger begins.
    first = db.execute("SELECT min(start_utc) FROM effort").fetchone()[0]
    known = _time(first) if first is not None else None
    if known is None:
        return
    hour = max(begin.astimezone(timezone.utc), known).replace(minute=0, second=0, microsecond=0)
    text = f"{hour:{HOUR}}"
    while hour < end:
        begun = hour
        hour += timedelta(hours=1)
        after = f"{hour:{HOUR}}"
        (heard_s,) = db.execute(HEARD, (text, after)).fetchone()
        if isinstance(heard_s, int | float) and heard_s > 0:
            yield place.local(begun), float(heard_s)
        text = after


def _minutes(db: sqlite3.Connection, span: tuple[str, str]) -> list[Minute]:
    found = []
    for start_utc, *seconds in db.execute(MINUTES, span):
        start = _time(start_utc)
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
    start = _time(start_utc)
    return None if start is None else min(number - 1, int((start - begin) / timedelta(hours=1)))


def _time(text: object) -> datetime | None:
    try:
        time = time_of(text)  # type: ignore[arg-type]
        return time.astimezone(timezone.utc)
    except UNDATABLE:
        return None
