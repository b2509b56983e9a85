"""What a dataset has of its recordings: how many, how much was heard, and what was not."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge.page.dataset.index import IndexedRecording, recordings_where

__all__ = ["Totals", "totals_of"]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a dataset has of the recordings of a site, or of all: counts, and seconds of sound."""

    recordings: dict[str, int]
    heard_s: float
    silent_s: float
    missing_s: float
    undated: int
    undated_events: int
    undated_s: float
    events: int
    faults: list[IndexedRecording]
    fault_count: int


def totals_of(db: sqlite3.Connection, site: int | None, *, most_faults: int) -> Totals:
    """Add up the recordings; `faults` are some that were not heard, or not whole."""
    where, values = ("1", ()) if site is None else ("site = ?", (site,))
    faulty = f"(status <> 'heard' OR missing_s > 0) AND {where}"
    undated = f"status = 'heard' AND NOT dated AND {where}"
    sums = "coalesce(sum(judged_s), 0), coalesce(sum(silent_s), 0), coalesce(sum(missing_s), 0)"
    counts = db.execute(
        f"SELECT status, count(*) FROM recordings WHERE {where} GROUP BY status", values
    )
    heard_s, silent_s, missing_s, events = db.execute(
        f"SELECT {sums}, coalesce(sum(detections), 0) FROM recordings WHERE {where}", values
    ).fetchone()
    undated_count, undated_events, undated_s = db.execute(
        "SELECT count(*), coalesce(sum(detections), 0), coalesce(sum(duration_s), 0) "
        f"FROM recordings WHERE {undated}",
        values,
    ).fetchone()
    (faults,) = db.execute(f"SELECT count(*) FROM recordings WHERE {faulty}", values).fetchone()
    return Totals(
        recordings=dict(tuple(row) for row in counts),
        heard_s=heard_s,
        silent_s=silent_s,
        missing_s=missing_s,
        undated=undated_count,
        undated_events=undated_events,
        undated_s=undated_s,
        events=events,
        faults=list(recordings_where(db, f"{faulty} ORDER BY path LIMIT {most_faults}", *values)),
        fault_count=faults,
    )
