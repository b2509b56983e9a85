"""What people said of events, in a database of its own beside the store.

What was said is never changed: a later answer of the same person takes its place, and the earlier
one stays in the file. With each are the bundle and the configuration that made the event, and a
copy of its clip, since the recorder gives up old clips for new ones.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from edge.clock import rfc3339
from edge.errors import UserError, one_line
from edge.page.answer import KINDS, Answer, Kind, check_answer
from edge.page.clips import PlacedClip
from edge.page.dates import date_text
from edge.page.kept_clips import KeptClips
from edge.page.owner import give_to_owner
from edge.store.database import Layout, open_database, transaction
from edge.store.events import StoredEvent
from edge.store.payloads import text_of

__all__ = ["KINDS", "Answer", "Answers", "Kind"]

Order = Literal["time", "last first", "event"]

COLUMNS = (
    *("event", "who", "answered_utc", "answer", "label", "detected", "start_utc", "end_utc"),
    *("score", "bundle", "config", "clip", "start_s", "end_s", "drawn", "cluster"),
)
TABLES = """
CREATE TABLE answers (
    number INTEGER PRIMARY KEY, event TEXT NOT NULL, who TEXT NOT NULL,
    answered_utc TEXT NOT NULL, answer TEXT NOT NULL, label TEXT NOT NULL,
    detected TEXT NOT NULL, start_utc TEXT NOT NULL, end_utc TEXT NOT NULL, score REAL NOT NULL,
    bundle TEXT NOT NULL, config TEXT NOT NULL,
    clip TEXT NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, drawn TEXT NOT NULL,
    cluster TEXT NOT NULL DEFAULT '');
CREATE INDEX answers_event ON answers (event, who, number);
"""
LAYOUT = Layout(
    tables=TABLES,
    version=2,
    upgrades={1: "ALTER TABLE answers ADD COLUMN cluster TEXT NOT NULL DEFAULT '';"},
    recount="",
)
THOSE_THAT_STAND = """
FROM answers AS said WHERE answer <> 'withdrawn' AND NOT EXISTS (
    SELECT 1 FROM answers AS later WHERE later.event = said.event AND later.who = said.who
    AND later.number > said.number)
"""
LATEST = f"SELECT {', '.join(COLUMNS)} {THOSE_THAT_STAND}"
ORDERS: Mapping[Order, str] = {
    "time": "number",
    "last first": "number DESC",
    "event": "event, number",
}
SAID = f"SELECT event, coalesce(nullif(label, ''), answer) {THOSE_THAT_STAND}"
OF_EVENTS = "AND event IN (SELECT value FROM json_each(?))"
LACKING = f"SELECT DISTINCT event {THOSE_THAT_STAND} AND clip = '' AND answer <> 'unsure'"
OF_PERSON = f"SELECT event, cluster {THOSE_THAT_STAND} AND who = ? {OF_EVENTS}"
ADD = f"INSERT INTO answers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
GIVE_CLIP = """
UPDATE answers SET clip = ?, start_s = ?, end_s = ?, end_utc = ? WHERE event = ? AND clip = ''
"""
LONGEST_NAME = 60
BUSY_S = 10.0
CACHE = "PRAGMA cache_size = -256"  # KiB


class Answers:
    """The answers in the database `path`, which is made with the first. Any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._kept = KeptClips(path.parent / "clips")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def clips(self) -> Path:
        """Where the copies of clips are."""
        return self._kept.folder

    def add(
        self,
        event: StoredEvent,
        kind: Kind,
        *,
        who: str,
        now: datetime,
        placed: PlacedClip | None,
        label: str = "",
        drawn: str = "",
    ) -> Answer:
        """Keep an answer; raises `UserError` for one that says nothing."""
        check_answer(event, kind, label)
        answer = replace(
            _answer(event, kind, who=who, now=now, label=label),
            clip="" if placed is None else self._kept.keep(placed, event),
            start_s=0.0 if placed is None else placed.start_s,
            end_s=0.0 if placed is None else placed.end_s,
            drawn=drawn or next((one.drawn for one in self.of(event.id) if one.drawn), ""),
        )
        with self._open() as db:
            db.execute(ADD, _values(answer))
        return answer

    def add_cluster(
        self,
        events: Sequence[StoredEvent],
        kind: Kind,
        *,
        cluster: int,
        who: str,
        now: datetime,
        label: str = "",
    ) -> int:
        """Keep one answer for all `events` of a cluster, or for none; return for how many.

        What the same person says of one of them by itself stays. The clips are still to be given.
        Raises `UserError` for an answer that says nothing.
        """
        for event in events:
            check_answer(event, kind, label)
        ids = json.dumps([event.id for event in events])
        own = self._rows(OF_PERSON, one_line(who)[:LONGEST_NAME], ids)
        before: dict[str, str] = dict(own)
        wanted = [e for e in events if before.get(e.id, "cluster")]
        if kind == "withdrawn":
            wanted = [event for event in wanted if event.id in before]
        answers = [
            replace(_answer(event, kind, who=who, now=now, label=label), cluster=str(cluster))
            for event in wanted
        ]
        with self._open() as db, transaction(db):
            db.executemany(ADD, map(_values, answers))
        return len(answers)

    def give_clip(self, event: StoredEvent, placed: PlacedClip) -> None:
        """Keep a clip that was written after its event was answered."""
        if name := self._kept.keep(placed, event):
            values = (name, placed.start_s, placed.end_s, date_text(event.end), event.id)
            with self._open() as db:
                db.execute(GIVE_CLIP, values)

    def of(self, event: str) -> list[Answer]:
        """Return what people say of an event now, the first to answer first."""
        rows = self._rows(f"{LATEST} AND event = ? ORDER BY number", event)
        return [_read_answer(row) for row in rows]

    def all(self, order: Order = "time", *, drawn: str | None = None) -> Iterator[Answer]:
        """Yield what people say now; with `drawn`, only of events that were asked for so."""
        where, values = ("", ()) if drawn is None else (" AND drawn = ?", (drawn,))
        yield from map(
            _read_answer, self._rows(f"{LATEST}{where} ORDER BY {ORDERS[order]}", *values)
        )

    def count(self) -> int:
        """Return how many answers there are now."""
        return sum(count for (count,) in self._rows(f"SELECT count(*) {THOSE_THAT_STAND}"))

    def said(self) -> Iterator[tuple[str, str]]:
        """Yield each event with what one person says of it, a kind or a label, by the events."""
        yield from self._rows(f"{SAID} ORDER BY event, number")

    def said_of(self, events: Iterable[StoredEvent]) -> dict[str, list[str]]:
        """Return what is said of those of `events` that have an answer."""
        found: dict[str, list[str]] = {}
        ids = json.dumps([event.id for event in events])
        for event, said in self._rows(f"{SAID} {OF_EVENTS} ORDER BY number", ids):
            found.setdefault(event, []).append(said)
        return found

    def lacking_clips(self) -> list[str]:
        """Return the events of which a clip would teach something and is not kept."""
        return [event for (event,) in self._rows(LACKING)]

    def _rows(self, query: str, *values: str) -> Iterator[Any]:
        """Yield rows over a connection of their own: they may be read slowly, and others answer
        meanwhile.
        """
        if not self.path.is_file():
            return
        with self._open():
            pass  # so that it is of the present version, or set aside
        uri = f"{self.path.resolve().as_uri()}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as db:
                db.text_factory = text_of
                db.execute(CACHE)
                yield from db.execute(query, values)
        except sqlite3.Error as exc:
            raise UserError(f"{self.path}: answers cannot be read: {exc}") from exc

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._db is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._db, _ = open_database(self.path, LAYOUT)
                    self._db.execute(CACHE)
                    give_to_owner(self.path.parent, self.path)
                yield self._db
            except (OSError, sqlite3.Error) as exc:
                raise UserError(f"{self.path}: answers cannot be kept: {exc}") from exc


def _answer(event: StoredEvent, kind: Kind, *, who: str, now: datetime, label: str) -> Answer:
    """Return an answer without a clip."""
    return Answer(
        event=event.id,
        who=one_line(who)[:LONGEST_NAME],
        answered_utc=rfc3339(now),
        answer=kind,
        label=label if kind == "is" else "",
        detected=event.label or "",
        start_utc=date_text(event.start),
        end_utc=date_text(event.end),
        score=event.score,
        bundle=one_line(event.text("bundle")),
        config=one_line(event.text("config")),
        clip="",
        start_s=0.0,
        end_s=0.0,
    )


def _read_answer(row: Sequence[Any]) -> Answer:
    return Answer(**dict(zip(COLUMNS, row, strict=True)))


def _values(answer: Answer) -> list[object]:
    return [getattr(answer, name) for name in COLUMNS]
