"""The file of an earlier version becomes one of this version, with all that is in it."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.store.effort import EffortMinute
from edge.store.layout import LAYOUT
from edge.store.ledger import find_end, note_minute
from edge.store.moving import HISTORY
from edge.store.outcomes import OutcomeCounts
from tests.edge.store.stores import open_store, waiting
from tests.support.store import SYNCED, event_id, payload

ROOT = Path(__file__).resolve().parents[3]
OLD = (2, 3, 4, 5)  # versions that there are files of
COPIED = ("detections", "embeddings", "effort", "outbox")
ROWS = 50

# Opens the store, and is killed before a statement, counted from the first of the upgrade.
OPENER = """
import os, signal, sqlite3, sys
from functools import partial
from pathlib import Path
from typing import Any

class Killed(sqlite3.Connection):
    left = None

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.set_trace_callback(self.traced)

    def traced(self, statement):
        if self.left is None and statement.startswith("BEGIN IMMEDIATE"):
            self.left = int(sys.argv[2])
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left is not None:
            self.left -= 1

sqlite3.connect = partial(sqlite3.connect, factory=Killed)
from edge.store.store import Store
Store(Path(sys.argv[1]), outbox_bytes=10**7, history_bytes=10**7).close()
"""


def minute(number: int, **counts: Any) -> EffortMinute:
    start = number * 60_000
    return EffortMinute(
        start_sample=start, end_sample=start + 60_000, sample_rate_hz=1000, **counts
    )


def old_file(path: Path, old: int) -> None:
    """Make a store of an old version with events, minutes, and messages to send."""
    tables = Path(__file__).with_name(f"version_{old}.sql").read_text(encoding="utf-8")
    filled = path.with_name("filled.db")
    with open_store(filled) as store:
        for number in range(ROWS):
            store.record(payload(number), dating=SYNCED)
            start = {"start_utc": "2024-05-01T05:30:00.000000Z"}
            heard = minute(number, heard=50_000, gated=10_000)
            store.record_effort(heard, start, stream="s", dating=SYNCED)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL; {tables}")
        db.execute("ATTACH ? AS filled", (str(filled),))
        for table in COPIED:
            known = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
            columns = ", ".join(known)
            db.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM filled.{table}")
        db.commit()
    filled.unlink()


def is_whole(path: Path) -> None:
    """Assert that the store has all of an old file, and takes what is new."""
    with open_store(path) as store:
        assert store.quarantined is None
        assert [p["id"] for p in store.detections()] == [event_id(n) for n in range(ROWS)]
        assert len(waiting(store)) == 2 * ROWS
        found = store._db.execute("SELECT id, start_utc FROM events ORDER BY number").fetchall()
        assert found == [(event_id(n), "2024-05-01T05:30:00.000000Z") for n in range(ROWS)]
        rows = store._db.execute(
            "SELECT heard_s, gated_s, private_s, clips_withheld, windows_label, windows_nothing "
            "FROM effort ORDER BY number"
        ).fetchall()
        assert rows == [(50.0, 10.0, 0.0, 0, 0, 0)] * ROWS
        counts = OutcomeCounts(label=3, unknown=2, other=1, nothing=24)
        new = replace(minute(ROWS, heard=30_000, private=30_000), windows=counts)
        note_minute(store, new, start_utc="2024-05-01T06:30:00Z", stream="s", dating=SYNCED)
        _, last = find_end(store)
        assert last is not None
        assert last.minute == new
        store._db.execute("DELETE FROM effort WHERE key LIKE 's/open/%'")
    assert version(path) == LAYOUT.version


def whole_statements(sql: str) -> Iterator[str]:
    """Yield the statements of a script; a trigger has some within it."""
    statement = ""
    for part in sql.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("old", OLD)
def test_an_old_file_is_upgraded_with_all_that_is_in_it(tmp_path: Path, old: int) -> None:
    path = tmp_path / "edge.db"
    old_file(path, old)
    assert version(path) == old
    is_whole(path)
    is_whole(path)
    assert [p.name for p in tmp_path.iterdir()] == ["edge.db"]


@pytest.mark.parametrize("old", OLD)
def test_killed_at_any_statement_of_the_upgrade_the_next_opening_does_it(
    tmp_path: Path, old: int
) -> None:
    path = tmp_path / "edge.db"
    old_file(path, old)
    found: list[int] = []
    while not found or found[-1] == old:
        command = [sys.executable, "-c", OPENER, str(path), str(len(found))]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        found.append(version(path))
    # Before the transaction and each statement in it, and once after it.
    upgrades = "".join(LAYOUT.upgrades[earlier] for earlier in range(old, LAYOUT.version))
    statements = sum(1 for _ in whole_statements(upgrades))
    assert found == [old] * (statements + 3) + [LAYOUT.version]
    is_whole(path)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE effort",
        "ALTER TABLE effort ADD COLUMN more",
        "CREATE TABLE of_another_program (x)",
        "DROP TRIGGER effort_added",
        "ALTER TABLE effort ADD COLUMN private_s REAL NOT NULL DEFAULT 0",
    ],
)
def test_what_only_says_that_it_is_old_is_set_aside_as_it_was(tmp_path: Path, change: str) -> None:
    path = tmp_path / "edge.db"
    old_file(path, OLD[0])
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA journal_mode = DELETE; {change}")
    before = path.read_bytes()
    with open_store(path) as store:
        assert store.quarantined is not None
        assert store.quarantined.read_bytes() == before
        assert not list(store.detections())


def test_all_columns_of_the_history_move_from_memory_to_the_file() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(LAYOUT.tables)
        for table, columns in HISTORY.items():
            known = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            assert set(columns.split(", ")) == known - {"number"}
