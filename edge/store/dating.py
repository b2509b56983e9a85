"""How rows are dated, and how they are corrected once the machine's clock is set."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from edge.clock import rfc3339
from edge.store.payloads import parsed

__all__ = ["UNDATABLE", "Database", "Dating", "moved", "shift_times", "time_of"]

TIMES = ("start_utc", "end_utc", "time_utc")
# What a damaged time, offset or clock makes of the arithmetic and of the payload.
UNDATABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


class Database(Protocol):
    """What runs one statement of SQL in the present transaction."""

    def execute(
        self, sql: str, parameters: tuple[object, ...] | Mapping[str, object] = ..., /
    ) -> sqlite3.Cursor:
        """See `sqlite3.Connection.execute`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Dating:
    """How rows are dated: `offset_us` is UTC minus the time since the machine started.

    `boot_id` names that start. `synced` only when a time service vouches for the offset;
    `uncertainty_s` says how far it may be off.
    """

    boot_id: str
    offset_us: int
    synced: bool
    uncertainty_s: float


def shift_times(
    db: Database, table: str, column: str, which: str, dating: Dating
) -> tuple[int, list[int]]:
    """Move the times in the payloads of a table to `dating`.

    Rows of this start of the machine that fulfil the condition `which` are corrected; `column`
    identifies a row. Returns how many were, and those that are too damaged for it and stay as they
    are.
    """
    rows = db.execute(
        f"SELECT {column}, payload, offset_us FROM {table} WHERE boot_id = ? AND {which}",
        (dating.boot_id,),
    ).fetchall()
    damaged = []
    for row_id, payload, offset_us in rows:
        try:
            text = _redated(payload, dating.offset_us - offset_us, dating)
        except UNDATABLE:
            damaged.append(row_id)
            continue
        db.execute(
            f"UPDATE {table} SET payload = ?, offset_us = ?, synced = 1 WHERE {column} = ?",
            (text, dating.offset_us, row_id),
        )
    return len(rows) - len(damaged), damaged


def time_of(time_utc: str) -> datetime:
    """Return a time of RFC 3339, of a payload or a row; raises ValueError, AttributeError."""
    return datetime.fromisoformat(time_utc.replace("Z", "+00:00"))


def moved(time_utc: str, by_us: int) -> str:
    """Return a time of RFC 3339 moved by microseconds."""
    time = time_of(time_utc) + timedelta(microseconds=by_us)
    return rfc3339(time.astimezone(timezone.utc))


def _redated(payload: object, by_us: int, dating: Dating) -> str:
    """Return a payload with its times moved and its clock as in `dating`.

    Raises one of `UNDATABLE`.
    """
    content = parsed(payload)
    if content is None:
        raise ValueError("not a JSON object")
    content.update({key: moved(content[key], by_us) for key in TIMES if key in content})
    content["clock"] = {
        **content["clock"],
        "synced": dating.synced,
        "uncertainty_s": dating.uncertainty_s,
    }
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    text.encode()  # an escape of a lone surrogate would be refused by the database
    return text
