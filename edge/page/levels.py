"""The states of the microphone of the last two days, a minute each."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from edge.store.dating import UNDATABLE, time_of
from edge.store.payloads import parsed

__all__ = ["Level", "levels_of"]


@dataclass(frozen=True, kw_only=True)
class Level:
    """The state of the microphone in a window that ended at `time`; see `SignalHealth`."""

    time: datetime
    rms_dbfs: float
    peak_dbfs: float
    clip_ratio: float
    dead: bool
    stuck: bool


def levels_of(db: sqlite3.Connection) -> list[Level]:
    """Return the states that can be read, the oldest first."""
    rows = db.execute("SELECT payload FROM levels ORDER BY number").fetchall()
    found = [_level(content) for row in rows if (content := parsed(row["payload"])) is not None]
    return sorted((one for one in found if one is not None), key=lambda level: level.time)


def _level(content: dict[str, Any]) -> Level | None:
    try:
        return Level(
            time=time_of(content["time_utc"]).astimezone(timezone.utc),
            rms_dbfs=float(content["rms_dbfs"]),
            peak_dbfs=float(content["peak_dbfs"]),
            clip_ratio=float(content["clip_ratio"]),
            dead=content["dead"] is True,
            stuck=content["stuck"] is True,
        )
    except UNDATABLE:
        return None
