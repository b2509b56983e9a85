"""Fills the index of a dataset, in a process of its own: pyarrow takes memory that the page lacks.

    python -m edge.page.dataset.filling DATASET INDEX [BUNDLE]

A part of the dataset that has changed is read anew, in one transaction, so that a kill costs one
part. A recording that was heard again is in one part only, whatever is read when.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge.archive.manifest import chosen_bundle
from edge.archive.origin import read_origin
from edge.archive.parquet import check_installed
from edge.archive.parts import Parts
from edge.archive.schema import TABLES
from edge.errors import EdgeError, UserError, one_line
from edge.page.dataset.entries import EffortPiece, Event, effort_of, events_of, recording_of
from edge.page.dataset.state import KEY, part_states
from edge.page.dataset.tables import writable_index
from edge.page.dataset.vectors import unknown_vectors
from edge.provenance import Provenance
from edge.store.database import transaction
from edge.types import Array

__all__ = ["fill"]

MOST_ID = 48
OF_PART = "SELECT number FROM recordings WHERE part = ?"
ADD_DETECTION = """
INSERT INTO detections (number, key, id, state, payload, bytes, start_sample, end_sample, boot_id,
    offset_us, synced, sent) VALUES (?, ?, ?, 'end', ?, ?, ?, ?, '', 0, 1, 1)
"""
ADD_LATEST = """
INSERT INTO latest (number, id, start_utc, label, site, recording) VALUES (?, ?, ?, ?, ?, ?)
"""
ADD_VECTOR = "INSERT OR REPLACE INTO embeddings (id, vector) VALUES (?, ?)"
ADD_EFFORT = """
INSERT INTO effort (key, bytes, start_utc, start_sample, end_sample, sample_rate_hz, heard_s,
    lost_s, gated_s, dropped_s, boot_id, offset_us, synced, sent, site, recording)
    VALUES (?, 0, ?, 0, ?, 1000, ?, ?, ?, ?, '', 0, 1, 1, ?, ?)
"""
# The zone of a site is that of its newest recording that says one.
SET_ZONES = """
UPDATE sites SET time_zone = (SELECT time_zone FROM recordings
    WHERE site = sites.number AND dated = 1 AND time_zone IS NOT NULL
    ORDER BY start_utc DESC LIMIT 1)
"""
# What cells of other types than a dataset's make of the arithmetic.
SENSELESS = (AttributeError, KeyError, OverflowError, TypeError, UserError, ValueError)
NOTHING = {
    **dict.fromkeys(line.split()[0] for line in TABLES["files"].splitlines() if line),
    "status": "failed",
}
DROP_SITES = """
DELETE FROM sites WHERE NOT EXISTS (SELECT 1 FROM recordings WHERE site = sites.number)
"""
Row = dict[str, Any]
log = logging.getLogger(__name__)


def fill(
    dataset: Path,
    index: Path,
    *,
    bundle: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Bring the index up to the state of the dataset, as `bundle` has heard it; return how many
    parts were read, which it will `say` after each. Raises `UserError`.
    """
    check_installed()
    chosen = chosen_bundle(dataset, bundle, key=KEY)
    made_by = read_origin(dataset, key=KEY, bundle=chosen)
    parts = Parts(dataset, checked=False)
    db = writable_index(index)
    try:
        known = dict(db.execute("SELECT name, state FROM parts").fetchall())
        states = part_states(dataset)
        changed = [name for name in sorted(states) if known.get(name) != states[name]]
        gone = sorted(set(known) - set(states))
        for name in gone:
            with _change(db):
                _remove_part(db, name)
        for number, name in enumerate(changed, 1):
            files = [row for row in parts.files(name) if chosen in (None, row["bundle"])]
            detections = parts.rows("detections", name) if files else []
            vectors = unknown_vectors(dataset, name, detections)
            with _change(db):
                _remove_part(db, name)
                if _Part(db, name, made_by, vectors).add(files, detections):
                    db.execute("INSERT INTO parts VALUES (?, ?)", (name, states[name]))
            say(f"{number} of {len(changed)}")
        return len(changed) + len(gone)
    finally:
        db.close()


@contextmanager
def _change(db: sqlite3.Connection) -> Iterator[None]:
    """Make the block one change of the index, undone when it fails."""
    with transaction(db):
        yield
        db.execute(DROP_SITES)
        db.execute(SET_ZONES)
        db.execute("UPDATE changes SET count = count + 1")


def _remove_part(db: sqlite3.Connection, name: str) -> None:
    """Remove the recordings of a part."""
    for (number,) in db.execute(OF_PART, (name,)).fetchall():
        _remove_recording(db, number)
    db.execute("DELETE FROM parts WHERE name = ?", (name,))


def _remove_recording(db: sqlite3.Connection, number: int) -> None:
    events = "SELECT number FROM latest WHERE recording = ?"
    db.execute(f"DELETE FROM detections WHERE number IN ({events})", (number,))
    ids = "SELECT id FROM latest WHERE recording = ?"
    db.execute(f"DELETE FROM embeddings WHERE id IN ({ids})", (number,))
    for table in ("latest", "effort"):
        db.execute(f"DELETE FROM {table} WHERE recording = ?", (number,))
    db.execute("DELETE FROM recordings WHERE number = ?", (number,))


class _Part:
    """Adds the recordings of a part of the dataset."""

    def __init__(
        self,
        db: sqlite3.Connection,
        name: str,
        made_by: Provenance,
        vectors: Mapping[tuple[str, str], Array],
    ) -> None:
        self._db, self._name, self._made_by, self._vectors = db, name, made_by, vectors
        self._event = self._next("detections")
        self._recording = self._next("recordings")

    def add(self, files: Sequence[Row], detections: Sequence[Row]) -> bool:
        """Add them; return whether all were whole."""
        found: dict[str, list[Row]] = {}
        for row in detections:
            found.setdefault(row["path"], []).append(row)
        whole = True
        for file in files:
            if not isinstance(file["path"], str):
                continue
            own = found.get(file["path"], [])
            if len(own) != (file["detections"] or 0):
                whole = False  # it is being replaced at this moment, or was left half
            elif self._is_ours(file["path"]):
                self._add(file, own)
        return whole

    def _is_ours(self, path: str) -> bool:
        """Make room for a recording that an earlier part has; a later one that has it is right."""
        known = self._db.execute("SELECT number, part FROM recordings WHERE path = ?", (path,))
        row = known.fetchone()
        if row is not None and row[1] < self._name:
            _remove_recording(self._db, row[0])
            row = None
        return row is None

    def _add(self, file: Row, detections: Sequence[Row]) -> None:
        number, site = self._recording, self._site(str(file["site"] or ""))
        self._recording += 1
        values, events, effort = self._entries(file, detections, number)
        values |= {"number": number, "part": self._name, "site": site}
        places = ", ".join(f":{name}" for name in values)
        add = f"INSERT INTO recordings ({', '.join(values)}) VALUES ({places})"
        self._db.execute(add, values)
        for event in events:
            self._add_event(event, number, site)
        pieces = [
            (
                *(f"{number}:{i}", piece.start_utc, round(1000 * piece.length_s), piece.heard_s),
                *(piece.lost_s, piece.gated_s, piece.dropped_s, site, number),
            )
            for i, piece in enumerate(effort)
        ]
        self._db.executemany(ADD_EFFORT, pieces)

    def _entries(
        self, file: Row, detections: Sequence[Row], number: int
    ) -> tuple[dict[str, Any], list[Event], list[EffortPiece]]:
        """Return what there is of a recording; of one with cells of no sense, only that it is."""
        try:
            events = list(events_of(file, detections, self._made_by, number=number))
            return recording_of(file), events, list(effort_of(file))
        except SENSELESS as exc:
            log.warning("%s makes no sense and is left out: %r", file["path"], exc)
            reason = f"its rows in the dataset make no sense ({type(exc).__name__})"
            return recording_of({**NOTHING, "path": file["path"], "reason": reason}), [], []

    def _add_event(self, event: Event, recording: int, site: int) -> None:
        at = self._event
        self._event += 1
        id = event.message["id"]
        vector = self._vectors.get((event.message["source"], id))
        known = self._db.execute("SELECT 1 FROM latest WHERE id = ?", (id,)).fetchone()
        if known is not None:  # of a copy of a recording
            id = f"{id[:MOST_ID]}-{recording}"
            event = event.named(id)
        message, payload = event.message, event.payload
        span = (message["start_sample"], message["end_sample"])
        row = (at, f"{recording}:{id}", id, payload, len(payload), *span)
        self._db.execute(ADD_DETECTION, row)
        latest = (at, id, message["start_utc"], message["label"], site, recording)
        self._db.execute(ADD_LATEST, latest)
        if vector is not None:
            self._db.execute(ADD_VECTOR, (id, np.ascontiguousarray(vector, "<f4").tobytes()))

    def _site(self, name: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO sites (name) VALUES (?)", (name,))
        found = self._db.execute("SELECT number FROM sites WHERE name = ?", (name,)).fetchone()
        return int(found[0])

    def _next(self, table: str) -> int:
        found = self._db.execute(f"SELECT coalesce(max(number), 0) + 1 FROM {table}").fetchone()
        return int(found[0])


def main() -> int:
    """Fill the index that the command line names; one line says what is wrong."""
    dataset, index = map(Path, sys.argv[1:3])
    try:
        fill(dataset, index, bundle=next(iter(sys.argv[3:]), None), say=partial(print, flush=True))
    except (EdgeError, OSError) as exc:
        print(one_line(str(exc)), file=sys.stderr)
        return 1
    except sqlite3.Error as exc:  # a full disk
        print(one_line(f"the index {index} cannot be written: {exc}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
