"""A store in a temporary folder, for the tests of this room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.store.store import Store
from edge.store.vectors import restored
from edge.types import Array

__all__ = ["embedding_in", "open_store", "waiting"]


def open_store(path: Path, **options: Any) -> Store:
    """Open the store at `path`, with bounds of 10 MB unless `options` say otherwise."""
    return Store(path, **{"outbox_bytes": 10_000_000, "history_bytes": 10_000_000, **options})


def waiting(store: Store, sink: str = "mqtt") -> list[dict[str, Any]]:
    """Return the payloads that wait for `sink`, oldest first."""
    return [json.loads(row.payload) for row in store.pending(sink, limit=10_000)]


def embedding_in(store: Store, id: str) -> Array | None:
    """Return the embedding of an event."""
    query = "SELECT vector, scale FROM embeddings WHERE id = ?"
    row = store._db.execute(query, (id,)).fetchone()
    return None if row is None else restored(*row)
