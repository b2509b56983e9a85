"""A store in a temporary folder, for the tests of this room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.store.store import Store

__all__ = ["open_store", "waiting"]


def open_store(path: Path, **options: Any) -> Store:
    """Open the store at `path`, with bounds of 10 MB unless `options` say otherwise."""
    return Store(path, **{"outbox_bytes": 10_000_000, "history_bytes": 10_000_000, **options})


def waiting(store: Store, sink: str = "mqtt") -> list[dict[str, Any]]:
    """Return the payloads that wait for `sink`, oldest first."""
    return [json.loads(row.payload) for row in store.pending(sink, limit=10_000)]
