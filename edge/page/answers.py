"""What people said of events, in a database of its own beside the store.

What was said is never changed: a later answer of the same person takes its place, and the earlier
one stays in the file. With each are the bundle and the configuration that made the event, and a
copy of its clip, since the recorder gives up old clips for new ones.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from edge.bundle.labels import check_label
from edge.clock import rfc3339
from edge.errors import SpecError, UserError, one_line
from edge.files import replacing
from edge.page.clips import PlacedClip
from edge.page.dates import date_text
from edge.page.owner import give_to_owner
from edge.store.database import Layout, open_database
from edge.store.events import StoredEvent

__all__ = ["KINDS", "Answer", "Answers", "Kind"]

# `is` names a label; `animal` is one that the person does not know; `withdrawn` is none any more.
Kind = Literal["right", "wrong", "is", "animal", "noise", "unsure", "withdrawn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
COLUMNS = (
    *("event", "who", "answered_utc", "answer", "label", "detected", "start_utc", "end_utc"),
    *("score", "bundle", "config", "clip", "start_s", "end_s", "drawn"),
)
TABLES = """
CREATE TABLE answers (
    number INTEGER PRIMARY KEY, event TEXT NOT NULL, who TEXT NOT NULL,
    answered_utc TEXT NOT NULL, answer TEXT NOT NULL, label TEXT NOT NULL,
    detected TEXT NOT NULL, start_utc TEXT NOT NULL, end_utc TEXT NOT NULL, score REAL NOT NULL,
    bundle TEXT NOT NULL, config TEXT NOT NULL,
    clip TEXT NOT NULL, start_s REAL NOT NULL, end_s REAL NOT NULL, drawn TEXT NOT NULL);
CREATE INDEX answers_event ON answers (event, who, number);
"""
LAYOUT = Layout(tables=TABLES, version=1, recount="")
LATEST = f"""
SELECT {", ".join(COLUMNS)} FROM answers WHERE number IN
    (SELECT max(number) FROM answers GROUP BY event, who) AND answer <> 'withdrawn'
"""
GIVE_CLIP = """
UPDATE answers SET clip = ?, start_s = ?, end_s = ?, end_utc = ? WHERE event = ? AND clip = ''
"""
MOST_CLIPS_BYTES = 2_000_000_000
RESERVE_BYTES = 500_000_000  # of the disk, which are the recorder's
LONGEST_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one person says of one event; `clip` is a copy below the answers' folder, or empty.

    `label` is the one that it is where the answer is `is`; `detected` is empty for an unknown one.
    `drawn` is why it was asked for, empty where the person has chosen the event.
    """

    event: str
    who: str
    answered_utc: str
    answer: Kind
    label: str
    detected: str
    start_utc: str
    end_utc: str
    score: float
    bundle: str
    config: str
    clip: str
    start_s: float
    end_s: float
    drawn: str = ""

    @property
    def claim(self) -> str:
        """What it says that the event is, as `edge-train adapt` reads it; "" for unsure."""
        if self.answer == "is":
            return self.label
        return {"unsure": "", "animal": "unknown"}.get(self.answer, self.answer)


class Answers:
    """The answers in the database `path`, which is made with the first. Any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

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
        _check(event, kind, label)
        answer = Answer(
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
            clip="" if placed is None else self._copied(placed, event),
            start_s=0.0 if placed is None else placed.start_s,
            end_s=0.0 if placed is None else placed.end_s,
            drawn=drawn or next((one.drawn for one in self.of(event.id) if one.drawn), ""),
        )
        values = [getattr(answer, name) for name in COLUMNS]
        places = ", ".join("?" * len(COLUMNS))
        with self._open() as db:
            db.execute(f"INSERT INTO answers ({', '.join(COLUMNS)}) VALUES ({places})", values)
        return answer

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
        for answer in self.all():
            found.setdefault(answer.event, []).append(answer.label or answer.answer)
        return found

    def _read(self, query: str, *values: str) -> list[Answer]:
        if not self.path.is_file():
            return []
        with self._open() as db:
            rows = db.execute(query, values).fetchall()
        return [Answer(**dict(zip(COLUMNS, row, strict=True))) for row in rows]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._db is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._db, _ = open_database(self.path, LAYOUT)
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
            kept = sum(file.stat().st_size for file in self.clips.glob("*/*"))
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self.path.parent).free
            if kept < MOST_CLIPS_BYTES and free > RESERVE_BYTES:
                with replacing(target, durable=True) as staging:
                    shutil.copyfile(placed.path, staging)
                give_to_owner(self.path.parent, self.clips, target.parent, target)
                return name
        return ""


def _check(event: StoredEvent, kind: Kind, label: str) -> None:
    """Raise `UserError` for an answer that says nothing."""
    if kind == "is":
        try:
            check_label(label)
        except SpecError as exc:
            raise UserError(exc.fault.reason) from exc
    elif kind in ("right", "wrong") and event.label is None:
        raise UserError("an unknown sound is neither right nor wrong: say what it is")
