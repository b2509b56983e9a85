"""Unknown events with their embeddings, for readers: those of one network together.

Embeddings of different networks have nothing to do with each other, and are never compared.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass

import numpy as np

from edge.store.dating import Database
from edge.store.payloads import parsed
from edge.store.vectors import restored
from edge.types import Array

__all__ = ["EmbeddedEvents", "newest_id", "newest_unknown"]

# A row of an earlier version does not say of what network it is; its message does, or its bundle.
NEWEST = """
SELECT latest.id, vector, scale, network, CASE WHEN network = '' THEN payload END
FROM latest JOIN embeddings ON embeddings.id = latest.id
JOIN detections ON detections.number = latest.number
WHERE label IS NULL ORDER BY start_utc DESC LIMIT ?
"""
NEWEST_ID = "SELECT id FROM latest WHERE label IS NULL ORDER BY start_utc DESC LIMIT 1"


@dataclass(frozen=True, kw_only=True)
class EmbeddedEvents:
    """Events by their `ids`, newest first, and `vectors` (N, D) float32 that `network` gave."""

    network: str
    ids: list[str]
    vectors: Array


def newest_unknown(db: sqlite3.Connection | Database, limit: int) -> list[EmbeddedEvents]:
    """Return the newest unknown events that have an embedding, by network; `limit` of all."""
    by_network: dict[str, list[tuple[str, Array]]] = {}
    for id, content, scale, network, payload in db.execute(NEWEST, (limit,)):
        vector = restored(content, scale)
        of = network or _network_in(payload)
        if vector is not None and isinstance(id, str) and isinstance(of, str) and of:
            by_network.setdefault(of, []).append((id, vector))
    return [_together(network, pairs) for network, pairs in by_network.items()]


def newest_id(db: sqlite3.Connection) -> str | None:
    """Return the id of the newest unknown event, None where there is none."""
    row = db.execute(NEWEST_ID).fetchone()
    return None if row is None else str(row[0])


def _together(network: str, pairs: list[tuple[str, Array]]) -> EmbeddedEvents:
    """Return the vectors as one array; those that damage has cut are left out."""
    ((length, _),) = Counter(len(vector) for _, vector in pairs).most_common(1)
    whole = [(id, vector) for id, vector in pairs if len(vector) == length]
    return EmbeddedEvents(
        network=network,
        ids=[id for id, _ in whole],
        vectors=np.stack([vector for _, vector in whole]),
    )


def _network_in(payload: object) -> object:
    content = parsed(payload) or {}
    return content.get("trunk") or content.get("bundle")
