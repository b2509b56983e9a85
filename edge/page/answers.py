"""What people said of events, in a database of its own beside the store.

What was said is never changed: a later answer of the same person takes its place, and the earlier
one stays in the file. With each are the bundle and the configuration that made the event, and a
copy of its clip, since the recorder gives up old clips for new ones.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.clock import rfc3339
from edge.errors import UserError, one_line
from edge.files import replacing
from edge.page.answer import KINDS, Answer, Kind, check_answer
from edge.page.clips import PlacedClip
from edge.page.dates import date_text
from edge.page.owner import give_to_owner
from edge.store.database import Layout, open_database, transaction
from edge.store.events import StoredEvent

__all__ = ["KINDS", "Answer", "Answers", "Kind"]

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
FROM answers WHERE number IN
    (SELECT max(number) FROM answers GROUP BY event, who) AND answer <> 'withdrawn'
"""
LATEST = f"SELECT {', '.join(COLUMNS)} {THOSE_THAT_STAND}"
SAID = f"SELECT event, coalesce(nullif(label, ''), answer) {THOSE_THAT_STAND} ORDER BY number"
# What many answers have in common is in memory once: those to a cluster are thousands.
COMMON = {"who", "answered_utc", "answer", "label", "detected", "bundle", "config", "cluster"}
ADD = f"INSERT INTO answers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
GIVE_CLIP = """
UPDATE answers SET clip = ?, start_s = ?, end_s = ?, end_utc = ? WHERE event = ? AND clip = ''
"""
MOST_CLIPS_BYTES = 2_000_000_000
RESERVE_BYTES = 500_000_000  # of the disk, which are the recorder's
LONGEST_NAME = 60


class Answers:
    """The answers in the database `path`, which is made with the first. Any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._kept_bytes: int | None = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def clips(self) -> Path:
        """Where the copies of clips are."""
        return self.path.parent / "clips"

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
            clip="" if placed is None else self._copied(placed, event),
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
        before = {one.event: one for one in self.all() if one.who == one_line(who)[:LONGEST_NAME]}
        wanted = [e for e in events if e.id not in before or before[e.id].cluster]
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
        if name := self._copied(placed, event):
            values = (name, placed.start_s, placed.end_s, date_text(event.end), event.id)
            with self._open() as db:
                db.execute(GIVE_CLIP, values)

    def of(self, event: str) -> list[Answer]:
        """Return what people say of an event now, the first to answer first."""
        return self._read(f"{LATEST} AND event = ? ORDER BY number", event)

    def all(self) -> list[Answer]:
        """Return what people say now, in the order of the answers."""
        return self._read(f"{LATEST} ORDER BY number")

    def answered(self) -> dict[str, list[str]]:
        """Return what is said of each event that has an answer: kinds, or the labels named."""
        found: dict[str, list[str]] = {}
        if self.path.is_file():
            with self._open() as db:
                for event, said in db.execute(SAID):
                    found.setdefault(event, []).append(_once(said))
        return found

    def _read(self, query: str, *values: str) -> list[Answer]:
        if not self.path.is_file():
            return []
        with self._open() as db:
            rows = db.execute(query, values)
            return [_read_answer(row) for row in rows]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._db is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._db, _ = open_database(self.path, LAYOUT)
                    self._db.execute("PRAGMA cache_size = -256")  # KiB
                    give_to_owner(self.path.parent, self.path)
                yield self._db
            except (OSError, sqlite3.Error) as exc:
                raise UserError(f"{self.path}: answers cannot be kept: {exc}") from exc

    def _copied(self, placed: PlacedClip, event: StoredEvent) -> str:
        """Copy a clip, where there is room; return its path below `clips`, else ""."""
        name = f"{event.label or 'unknown'}/{placed.path.name}"
        target = self.clips / name
        with contextlib.suppress(OSError):
            if target.is_file():
                return name
            if self._kept_bytes is None:  # once, as a cluster has hundreds of clips
                self._kept_bytes = sum(file.stat().st_size for file in self.clips.glob("*/*"))
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self.path.parent).free
            if self._kept_bytes < MOST_CLIPS_BYTES and free > RESERVE_BYTES:
                with replacing(target, durable=True) as staging:
                    shutil.copyfile(placed.path, staging)
                give_to_owner(self.path.parent, self.clips, target.parent, target)
                self._kept_bytes += target.stat().st_size
                return name
        return ""


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
    cells: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    return Answer(**{**cells, **{name: _once(cells[name]) for name in COMMON}})


def _once(cell: Any) -> Any:
    """Return a text of which there is one in memory; damage may have left something else."""
    return sys.intern(cell) if isinstance(cell, str) else cell


def _values(answer: Answer) -> list[object]:
    return [getattr(answer, name) for name in COLUMNS]
