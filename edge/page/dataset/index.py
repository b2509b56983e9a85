"""The index of a dataset as the page reads it: sites, days with sound, and recordings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.archive.fingerprint import Fingerprint
from edge.clock import rfc3339
from edge.page.dataset.tables import look_at_site
from edge.page.days import utc_of
from edge.store.events import StoredEvent, event_of
from edge.store.reading import reading

__all__ = [
    "DatasetIndex",
    "IndexedRecording",
    "Site",
    "day_with_sound",
    "recordings_where",
    "zones_of",
]

SITES = """
SELECT number, name, time_zone,
    EXISTS (SELECT 1 FROM recordings WHERE site = sites.number AND dated) AS dated
FROM sites ORDER BY name
"""
BEFORE = "SELECT max(start_utc) FROM effort WHERE start_utc < ? AND heard_s > 0"
AFTER = "SELECT min(start_utc) FROM effort WHERE start_utc >= ? AND heard_s > 0"
OF_RECORDING = """
SELECT detections.number AS number, payload FROM latest
JOIN detections ON detections.number = latest.number
WHERE recording = (SELECT number FROM recordings WHERE path = ?) ORDER BY start_utc
"""
FINGERPRINT = ("size_bytes", "modified_utc", "head_sha256", "etag")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site of the dataset; `time_zone` is that which its recordings tell, None for none.

    `dated`: it has recordings with a date.
    """

    number: int
    name: str
    time_zone: str | None
    dated: bool


@dataclass(frozen=True, kw_only=True)
class IndexedRecording:
    """A recording as the dataset has it; `heard` is by what it is known again."""

    path: str
    status: str
    reason: str
    dated: bool
    clock_source: str | None
    duration_s: float
    missing_s: float
    detections: int
    channel: str
    site: str
    heard: Fingerprint | None


def zones_of(sites: Iterable[Site]) -> set[str | None]:
    """Return the time zones of the sites, None for one that is not known."""
    return {site.time_zone for site in sites if site.dated}


class DatasetIndex:
    """The index in the file `path`. Any thread may ask."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def reading(self, site: int | None = None) -> Iterator[sqlite3.Connection]:
        """Open it to read it, of one site or, with None, of all; raises `UserError`."""
        with reading(self.path) as db:
            if site is not None:
                look_at_site(db, site)
            yield db

    def changes(self) -> int:
        """Return how often it has changed."""
        with reading(self.path) as db:
            return int(db.execute("SELECT count FROM changes").fetchone()[0])

    def sites(self) -> list[Site]:
        """Return all sites, by their names."""
        with reading(self.path) as db:
            return [Site(**dict(row)) for row in db.execute(SITES)]

    def site_of(self, event: str) -> int | None:
        """Return the site of an event, None where there is none of this id."""
        with reading(self.path) as db:
            row = db.execute("SELECT site FROM latest WHERE id = ?", (event,)).fetchone()
        return None if row is None else int(row["site"])

    def undated(self, site: int | None) -> int:
        """Return how many recordings of a site, or of all, were heard and have no date."""
        where, values = ("1", ()) if site is None else ("site = ?", (site,))
        query = f"SELECT count(*) FROM recordings WHERE {where} AND NOT dated AND status = 'heard'"
        with reading(self.path) as db:
            return int(db.execute(query, values).fetchone()[0])

    def events_in(self, path: str) -> Iterator[StoredEvent]:
        """Yield the events of the recording at a path, in the order of their starts."""
        with reading(self.path) as db:
            for row in db.execute(OF_RECORDING, (path,)):
                event = event_of(row["number"], row["payload"])
                if event is not None:
                    yield event

    def recording(self, path: str) -> IndexedRecording | None:
        """Return the recording at a path of the dataset."""
        with reading(self.path) as db:
            return next(recordings_where(db, "path = ?", path), None)


def day_with_sound(db: sqlite3.Connection, at: datetime, *, before: bool) -> datetime | None:
    """Return when sound was last heard before a time, or first from it on."""
    found = db.execute(BEFORE if before else AFTER, (rfc3339(at),)).fetchone()[0]
    return None if found is None else utc_of(found)


def recordings_where(
    db: sqlite3.Connection, where: str, *values: object
) -> Iterator[IndexedRecording]:
    """Yield the recordings of which a condition in SQL is true."""
    names = (
        *("path", "status", "reason", "dated", "clock_source", "duration_s", "missing_s"),
        *("detections", "channel"),
    )
    rows = db.execute(
        f"SELECT {', '.join((*names, *FINGERPRINT))}, "
        "(SELECT name FROM sites WHERE number = recordings.site) AS site "
        f"FROM recordings WHERE {where}",
        values,
    )
    for row in rows:
        own = {name: row[name] for name in names}
        own["dated"] = bool(row["dated"])
        yield IndexedRecording(**own, site=row["site"], heard=_fingerprint(row))


def _fingerprint(row: sqlite3.Row) -> Fingerprint | None:
    if row["size_bytes"] is None:
        return None
    cells = {name: row[name] for name in FINGERPRINT}
    modified = cells["modified_utc"]
    cells["modified_utc"] = None if modified is None else utc_of(modified)
    return Fingerprint(**cells)
