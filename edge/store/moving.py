"""Rows of one store moved into another: what was kept in memory, once there is a disk again."""

from __future__ import annotations

from typing import Any

from edge.store.history import ADD_LEVEL
from edge.store.store import Store

__all__ = ["move_rows"]

# What is copied of each table, but for the number of a row, which the other store gives anew.
HISTORY = {
    "detections": (
        "key, id, state, payload, bytes, start_sample, end_sample, boot_id, offset_us, synced, sent"
    ),
    "effort": (
        "key, bytes, start_utc, start_sample, end_sample, sample_rate_hz, heard_s, lost_s, "
        "gated_s, dropped_s, private_s, clips_withheld, below_precision, windows_label, "
        "windows_unknown, windows_other, windows_nothing, boot_id, offset_us, synced, sent"
    ),
}
EMBEDDINGS = "SELECT id, vector, network, scale FROM embeddings"
ADD_EMBEDDING = "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?, ?)"
LEVELS = "SELECT payload, boot_id, offset_us, synced FROM levels ORDER BY number"
OUTBOX = "sink, kind, key, payload, bytes, boot_id, offset_us, synced, run, stored_us"


def move_rows(source: Store, target: Store) -> int:
    """Copy all rows of `source` into `target`, in one transaction and their order.

    Returns how many there were; rows that are known there already stay as they are. Raises
    `StoreError`, and then nothing was copied.
    """
    rows, embeddings, levels, outbox = source.change(lambda db, history: _read(db))

    def write(db: Any, history: Any) -> None:
        # Both tables of the history number their rows together, by age.
        for _, table, row in sorted(rows, key=lambda entry: entry[0]):
            columns, places = HISTORY[table], ", ".join("?" * len(row))
            db.execute(
                f"INSERT OR IGNORE INTO {table} (number, {columns}) "
                f"VALUES ((SELECT next FROM history), {places})",
                row,
            )
        for row in embeddings:
            db.execute(ADD_EMBEDDING, row)
        for row in levels:
            db.execute(ADD_LEVEL, row)
        for row in outbox:
            places = ", ".join("?" * len(row))
            db.execute(f"INSERT INTO outbox ({OUTBOX}) VALUES ({places})", row)

    target.change(write)
    return len(rows) + len(outbox)


def _read(db: Any) -> tuple[list[tuple[int, str, Any]], list[Any], list[Any], list[Any]]:
    history = [
        (number, table, tuple(row))
        for table, columns in HISTORY.items()
        for number, *row in db.execute(f"SELECT number, {columns} FROM {table}").fetchall()
    ]
    embeddings = db.execute(EMBEDDINGS).fetchall()
    levels = db.execute(LEVELS).fetchall()
    outbox = db.execute(f"SELECT {OUTBOX} FROM outbox ORDER BY seq").fetchall()
    return history, embeddings, levels, outbox
