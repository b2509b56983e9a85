"""How often labels were heard over the days, and at which hours.

An event counts where it begins, in the recorder's own time.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from edge.clock import rfc3339
from edge.page.days import utc_of
from edge.page.place import Shown

__all__ = ["HeardHours", "LabelHistory", "SpeciesRow", "history_of", "species"]

DATED = "CASE WHEN start_utc >= '1970' THEN start_utc END"  # see edge.page.dates
LABELS = f"""
SELECT label, count(*) AS events, min({DATED}) AS first, max({DATED}) AS newest
FROM latest GROUP BY label ORDER BY events DESC, label
"""
# By hours of UTC, since a year has too many events to look at each: where a zone is off by half an
# hour, half of them count for the hour before.
OF_LABEL = """
SELECT substr(start_utc, 1, 13) AS hour, count(*) AS events FROM latest
WHERE label = ? AND start_utc >= ? AND start_utc < ? GROUP BY hour
"""
# One hour each: faster than to group a year, which SQLite sorts first.
HEARD = "SELECT sum(heard_s) FROM effort WHERE start_utc >= ? AND start_utc < ?"
HOUR = "%Y-%m-%dT%H"  # begins every time within it

MOST_LABELS = 2000
SETTLED_DAYS = 3  # after which no clock that is set late changes the ledger any more


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


def species(db: sqlite3.Connection) -> list[SpeciesRow]:
    """Return every label that was ever heard, the most frequent first."""
    rows = db.execute(f"{LABELS} LIMIT {MOST_LABELS}").fetchall()
    return [
        SpeciesRow(
            label=row["label"],
            events=row["events"],
            first=utc_of(row["first"]),
            newest=utc_of(row["newest"]),
        )
        for row in rows
        if row["label"] is None or isinstance(row["label"], str)
    ]


class HeardHours:
    """The seconds heard in hours that are long over: a year is added up once. Any thread."""

    def __init__(self) -> None:
        self._begin: str | None = None
        self._seconds: dict[str, float] = {}

    def of(self, begin: str) -> dict[str, float]:
        """Return what is known of a ledger that begins at `begin`: another one is another store."""
        if begin != self._begin:
            self._begin, self._seconds = begin, {}
        return self._seconds


def history_of(
    db: sqlite3.Connection,
    label: str,
    *,
    first: date,
    last: date,
    place: Shown,
    known: HeardHours,
) -> LabelHistory:
    """Return how often a label was heard on the days from `first` to `last`."""
    begin, end = place.midnight(first), place.midnight(last + timedelta(days=1))
    values = (label, rfc3339(begin), rfc3339(end))
    events = [
        (place.local(at), count)
        for hour, count in db.execute(OF_LABEL, values)
        if (at := utc_of(f"{hour}:00:00Z")) is not None
    ]
    days: Counter[date] = Counter()
    by_hour = [0] * 24
    for at, count in events:
        days[at.date()] += count
        by_hour[at.hour] += count
    heard_h: dict[date, float] = {}
    heard_by_hour = [0.0] * 24
    for at, heard_s in _heard_by_hour(db, begin, end, place, known):
        heard_h[at.date()] = heard_h.get(at.date(), 0.0) + heard_s / 3600
        heard_by_hour[at.hour] += heard_s / 3600
    return LabelHistory(days=days, heard_h=heard_h, by_hour=by_hour, heard_by_hour=heard_by_hour)


def _heard_by_hour(
    db: sqlite3.Connection, begin: datetime, end: datetime, place: Shown, known: HeardHours
) -> Iterator[tuple[datetime, float]]:
    """Yield each hour in which something was heard, and the seconds that were."""
    # Nothing is asked for the hours before the ledger begins.
    first = db.execute("SELECT min(start_utc) FROM effort").fetchone()[0]
    ledger = utc_of(first) if first is not None else None
    if ledger is None:
        return
    before = known.of(first)
    settled = end - timedelta(days=SETTLED_DAYS)
    hour = max(begin.astimezone(timezone.utc), ledger).replace(minute=0, second=0, microsecond=0)
    text = f"{hour:{HOUR}}"
    while hour < end:
        begun = hour
        hour += timedelta(hours=1)
        after = f"{hour:{HOUR}}"
        heard_s = before.get(text)
        if heard_s is None:
            (found,) = db.execute(HEARD, (text, after)).fetchone()
            heard_s = float(found) if isinstance(found, int | float) else 0.0
            if hour < settled:
                before[text] = heard_s
        if heard_s > 0:
            yield place.local(begun), heard_s
        text = after
