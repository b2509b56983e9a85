"""What a recorder does and has done today, in few questions to the store: one screen, one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from edge.clock import rfc3339
from edge.errors import one_line
from edge.store.dating import UNDATABLE, Database, time_of
from edge.store.events import StoredEvent, event_of
from edge.store.payloads import parsed

__all__ = ["Summary", "status_line", "summarise"]

FATES = ("heard_s", "gated_s", "dropped_s", "lost_s", "private_s")
NEWEST_MINUTE = """
SELECT start_utc, start_sample, end_sample, sample_rate_hz, synced FROM effort
ORDER BY number DESC LIMIT 1
"""
SECONDS = f"""
SELECT {", ".join(f"coalesce(sum({fate}), 0)" for fate in FATES)} FROM effort WHERE start_utc >= ?
"""
SPECIES = """
SELECT label, count(*) FROM latest WHERE start_utc >= ? GROUP BY label
ORDER BY count(*) DESC, label
"""
SILENT_S = 30.0  # without a new entry in the ledger, which is made every 5 s: it does not listen


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the store says of its recorder at `now`; None is what it does not know.

    It has listened `since` without a break, and the ledger reaches `until`. `seconds` are those of
    today by what became of them, `species` today's events by label, None for unknown ones. `level`
    is the last state of the microphone, `newest` the last event. `waiting` are rows and bytes that
    are not sent yet, `dropped` and `aside` rows that never will be.
    """

    now: datetime
    since: datetime | None = None
    until: datetime | None = None
    clock_synced: bool | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    species: Mapping[str | None, int] = field(default_factory=dict)
    level: Mapping[str, Any] = field(default_factory=dict)
    newest: StoredEvent | None = None
    waiting: tuple[int, int] = (0, 0)
    dropped: int = 0
    aside: int = 0

    @property
    def listening(self) -> bool:
        """Whether it listens now, as far as the ledger knows."""
        return self.until is not None and (self.now - self.until).total_seconds() < SILENT_S

    @property
    def microphone(self) -> str:
        """How the microphone does, in a word or two."""
        for fault in ("dead", "stuck"):
            if self.level.get(fault) is True:
                return fault
        rms = self.level.get("rms_dbfs")
        return f"{rms:.0f} dBFS" if isinstance(rms, int | float) else "not known"


def summarise(db: Database, *, now: datetime, midnight: datetime) -> Summary:
    """Return the summary of a store at `now`; today begins at `midnight`."""
    day = rfc3339(midnight)
    since, until, synced = _span(db.execute(NEWEST_MINUTE).fetchone())
    seconds = db.execute(SECONDS, (day,)).fetchone()
    level = db.execute("SELECT payload FROM levels ORDER BY number DESC LIMIT 1").fetchone()
    newest = db.execute("SELECT number, payload FROM detections ORDER BY number DESC LIMIT 1")
    row = newest.fetchone()
    sizes = db.execute("SELECT sink, rows, bytes FROM outbox_size").fetchall()
    dropped = db.execute("SELECT coalesce(sum(rows), 0) FROM outbox_dropped WHERE kind <> 'any'")
    species = [tuple(found) for found in db.execute(SPECIES, (day,)).fetchall()]
    return Summary(
        now=now,
        since=since,
        until=until,
        clock_synced=synced,
        seconds=dict(zip(FATES, seconds, strict=True)),
        species={label: count for label, count in species if isinstance(label, str | None)},
        level=(parsed(level[0]) or {}) if level is not None else {},
        newest=None if row is None else event_of(row[0], row[1]),
        waiting=_added_up([size for size in sizes if "/" not in size[0]]),
        aside=_added_up([size for size in sizes if "/" in size[0]])[0],
        dropped=dropped.fetchone()[0],
    )


def status_line(summary: Summary) -> str:
    """Return what matters most in one line, as the service manager shows it."""
    if summary.until is None:
        return "has not listened yet"
    if not summary.listening:
        return f"hears nothing since {_clock(summary.until)} UTC"
    events = sum(summary.species.values())
    named = sum(1 for label in summary.species if label is not None)
    parts = [
        f"listens since {_clock(summary.since or summary.until)} UTC",
        f"microphone {summary.microphone}",
        f"today {events} events of {named} species",
        f"{summary.waiting[0]} to send",
    ]
    if summary.newest is not None:
        parts.append(f"last {one_line(summary.newest.name)} at {_clock(summary.newest.start)}")
    return ", ".join(parts)


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _span(row: sqlite3.Row | None) -> tuple[datetime | None, datetime | None, bool | None]:
    """Return when the stream of the ledger's last row began, when that ends, and its dating."""
    if row is None:
        return None, None, None
    start_utc, start_sample, end_sample, rate_hz, synced = row
    try:
        start = time_of(start_utc).astimezone(timezone.utc)
        since = start - timedelta(seconds=start_sample / rate_hz)
        until = start + timedelta(seconds=(end_sample - start_sample) / rate_hz)
    except (*UNDATABLE, ZeroDivisionError):
        return None, None, None
    return since, until, bool(synced)


def _added_up(sizes: list[Any]) -> tuple[int, int]:
    return sum(size[1] for size in sizes), sum(size[2] for size in sizes)
