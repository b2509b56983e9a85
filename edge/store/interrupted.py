"""Events that a killed recorder left open: the next one ends them with what the store knows.

Whoever counts events by their end would never count these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge.store.store import Dating, Store

__all__ = ["end_interrupted"]

# Rows; what a recorder had open when it was killed is among the newest.
RECENT = 10_000
OPEN = """
SELECT payload, boot_id, offset_us, synced FROM detections AS last
WHERE number > (SELECT max(number) FROM detections) - ? AND state <> 'end'
AND NOT EXISTS (SELECT 1 FROM detections WHERE key = last.id || '/end') ORDER BY number
"""


def end_interrupted(store: Store) -> int:
    """End every event that has no end, before anything new is recorded; return how many.

    The end is that of the last state that was stored, without a clip, and says `interrupted`.
    Raises `StoreError`; what is ended by then stays so.
    """
    rows = store.change(lambda db, history: db.execute(OPEN, (RECENT,)).fetchall())
    last: dict[str, tuple[Mapping[str, Any], Dating]] = {}
    for row in rows:
        found = _understood(*row)
        if found is not None:  # else damaged
            last[found[0]["id"]] = found
    for payload, dating in last.values():
        end = {**payload, "state": "end", "clip": None, "interrupted": True}
        store.record(end, dating=dating)
    return len(last)


def _understood(
    text: Any, boot_id: Any, offset_us: Any, synced: Any
) -> tuple[dict[str, Any], Dating] | None:
    """Return payload and dating of a row, None where damage has made something else of them."""
    try:
        payload = json.loads(text)
        dating = Dating(
            boot_id=str(boot_id),
            offset_us=int(offset_us),
            synced=bool(synced),
            uncertainty_s=float(payload["clock"]["uncertainty_s"]),
        )
        known = all(isinstance(payload[key], str) for key in ("id", "start_utc", "end_utc"))
        known &= all(isinstance(payload[key], int) for key in ("start_sample", "end_sample"))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return (payload, dating) if known else None
