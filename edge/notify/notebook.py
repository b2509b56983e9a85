"""What `edge notify` remembers, in a database of its own beside the store.

It outlives the store: a recorder that has lost its store knows which species it has told of. Each
change is a transaction that is on the disk when it ends; `kill -9` leaves the one before.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path

from edge.clock import rfc3339
from edge.errors import StoreError, UserError
from edge.notify.conditions import Course, Fault
from edge.notify.rules import Rule
from edge.notify.tables import LAYOUT
from edge.store.database import open_database, transaction
from edge.store.dating import UNDATABLE, time_of

__all__ = ["Notebook", "attached", "opened", "time_in"]

# Of what can only grow, the newest that are kept: by number, so that no jump of a clock empties it.
MOST_JUDGED = 50_000
MOST_TOLD = 20_000
MOST_DAYS = 50_000
BUSY_S = 10.0


class Notebook:
    """The tables, for one thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.db.row_factory = sqlite3.Row

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the block one change, undone when it fails; raises `StoreError`."""
        try:
            with transaction(self.db):
                yield
        except sqlite3.Error as exc:
            raise StoreError(f"what was told cannot be noted: {exc}") from exc

    def fact(self, name: str, otherwise: str) -> str:
        """Return a fact, which is `otherwise` from now on where it is not known yet."""
        self.db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, otherwise))
        row = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0])

    @property
    def has_begun(self) -> bool:
        """Whether a store was ever looked at."""
        query = "SELECT 1 FROM facts WHERE name = 'begun_utc'"
        return self.db.execute(query).fetchone() is not None

    def count_one(self, name: str, by: int = 1) -> None:
        """Count something that became of a message."""
        self.db.execute(
            "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + ?",
            (name, by, by),
        )

    def counts(self) -> dict[str, int]:
        """Return what was counted."""
        return {row["name"]: row["count"] for row in self.db.execute("SELECT * FROM counts")}

    # What was heard

    def is_judged(self, id: str) -> bool:
        """Return whether an event was judged before."""
        return self.db.execute("SELECT 1 FROM judged WHERE id = ?", (id,)).fetchone() is not None

    def note_judged(self, ids: Iterable[str]) -> None:
        """Note that events were judged, and forget the oldest of many."""
        self.db.executemany("INSERT OR IGNORE INTO judged (id) VALUES (?)", ((id,) for id in ids))
        self.db.execute(
            "DELETE FROM judged WHERE number <= (SELECT max(number) FROM judged) - ?",
            (MOST_JUDGED,),
        )

    def knows(self, label: str) -> bool:
        """Return whether a species was ever heard at the site."""
        query = "SELECT 1 FROM species WHERE label = ?"
        return self.db.execute(query, (label,)).fetchone() is not None

    def learn(self, label: str) -> bool:
        """Note that a species is known at the site; return whether that is new."""
        return self._added("INSERT OR IGNORE INTO species VALUES (?)", label)

    def hear(self, label: str, day: date) -> tuple[bool, bool]:
        """See `Memory.hear`."""
        first = self._added("INSERT OR IGNORE INTO days VALUES (?, ?)", label, day.isoformat())
        self.db.execute(
            "DELETE FROM days WHERE rowid <= (SELECT max(rowid) FROM days) - ?", (MOST_DAYS,)
        )
        return self.learn(label), first

    def _added(self, query: str, *values: str) -> bool:
        return self.db.execute(query, values).rowcount > 0

    # What was told

    def last_told(self, rule: Rule, label: str, at: datetime) -> list[datetime]:
        """See `Memory.last_told`."""
        where = "FROM told WHERE rule = ? AND label = ? AND at_utc"
        found = self.db.execute(
            f"SELECT max(at_utc) {where} <= ? UNION ALL SELECT min(at_utc) {where} > ?",
            (rule, label, rfc3339(at)) * 2,
        ).fetchall()
        return [time for (text,) in found if (time := time_in(text)) is not None]

    def count(self, day: date) -> int:
        """See `Memory.count`."""
        query = "SELECT count(*) FROM messages WHERE day = ?"
        return int(self.db.execute(query, (day.isoformat(),)).fetchone()[0])

    def tell(self, rules: Iterable[Rule], label: str, *, day: date, at: datetime) -> None:
        """See `Memory.tell`."""
        for rule in rules:
            self.db.execute(
                "INSERT INTO told (rule, label, at_utc) VALUES (?, ?, ?)",
                (rule, label, rfc3339(at)),
            )
        self.db.execute(
            "DELETE FROM told WHERE number <= (SELECT max(number) FROM told) - ?", (MOST_TOLD,)
        )

    # How faults go

    def course(self, fault: Fault) -> Course:
        """Return how a fault goes."""
        row = self.db.execute("SELECT * FROM courses WHERE fault = ?", (fault,)).fetchone()
        if row is None:
            return Course()
        return Course(
            evidence_s=row["evidence_s"],
            looked=time_in(row["looked_utc"]),
            since=time_in(row["since_utc"]),
            told=bool(row["told"]),
            told_at=time_in(row["told_utc"]),
        )

    def keep_course(self, fault: Fault, course: Course) -> None:
        """Keep how a fault goes."""
        times = [
            None if time is None else rfc3339(time)
            for time in (course.looked, course.since, course.told_at)
        ]
        self.db.execute(
            "INSERT OR REPLACE INTO courses VALUES (?, ?, ?, ?, ?, ?)",
            (fault, course.evidence_s, times[0], times[1], course.told, times[2]),
        )


def time_in(text: object) -> datetime | None:
    """Return a time of the database, None where there is none."""
    try:
        return time_of(text).astimezone(timezone.utc)  # type: ignore[arg-type]
    except UNDATABLE:
        return None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Notebook]:
    """Open the database at `path`, made when missing; raises `UserError`.

    One that is damaged is set aside for a fresh one, which tells of nothing from before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db, _ = open_database(path, LAYOUT)
    except (OSError, sqlite3.Error) as exc:
        raise UserError(f"{path}: what was told cannot be kept: {exc}") from exc
    with contextlib.closing(db):
        notebook = Notebook(db)
        notebook.fact("salt", secrets.token_hex(32))
        yield notebook


@contextlib.contextmanager
def attached(path: Path) -> Iterator[Notebook]:
    """Open a database that another process of this program has open; raises `sqlite3.Error`."""
    uri = f"{path.resolve().as_uri()}?mode=rw"
    with contextlib.closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)
    ) as db:
        db.execute("PRAGMA synchronous = FULL")
        yield Notebook(db)
