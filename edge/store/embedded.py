"""Events with their embeddings, for readers: those of one network together.

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

__all__ = ["EmbeddedEvents", "newest_embedded", "newest_id"]

# A row of an earlier version does not say of what network it is; its message does, or its bundle.
NEWEST = """
SELECT latest.id, vector, scale, network, CASE WHEN network = '' THEN payload END
FROM latest JOIN embeddings ON embeddings.id = latest.id
JOIN detections ON detections.number = latest.number
WHERE label IS {what} ORDER BY start_utc DESC LIMIT ?
"""
UNKNOWN, KNOWN = (NEWEST.format(what=what) for what in ("NULL", "NOT NULL"))
NEWEST_ID = "SELECT id FROM latest WHERE label IS NULL ORDER BY start_utc DESC LIMIT 1"


@dataclass(frozen=True, kw_only=True)
class EmbeddedEvents:
    """Unknown events by their `ids`, newest first, and `vectors` (N, D) float32 of `network`.

    `known` (M, D) float32 are those of events that have a label.
    """

    network: str
    ids: list[str]
    vectors: Array
    known: Array


def newest_embedded(
    db: sqlite3.Connection | Database, *, unknown: int, known: int
) -> list[EmbeddedEvents]:
    """Return the newest events that have an embedding, by network: as many of all as is said."""
    beside = _by_network(db, KNOWN, known)
    return [
        _together(network, pairs, beside.get(network, []))
        for network, pairs in _by_network(db, UNKNOWN, unknown).items()
    ]


def _by_network(
    db: sqlite3.Connection | Database, query: str, limit: int
) -> dict[str, list[tuple[str, Array]]]:
    found: dict[str, list[tuple[str, Array]]] = {}
    for id, content, scale, network, payload in db.execute(query, (limit,)):
        vector = restored(content, scale)
        of = network or _network_in(payload)
        if vector is not None and isinstance(id, str) and isinstance(of, str) and of:
            found.setdefault(of, []).append((id, vector))
    return found


def newest_id(db: sqlite3.Connection) -> str | None:
    """Return the id of the newest unknown event, None where there is none."""
    row = db.execute(NEWEST_ID).fetchone()
    return None if row is None else str(row[0])


def _together(
    network: str, pairs: list[tuple[str, Array]], known: list[tuple[str, Array]]
) -> EmbeddedEvents:
    """Return the vectors as one array; those that damage has cut are left out."""
    ((length, _),) = Counter(len(vector) for _, vector in pairs).most_common(1)
    whole = [(id, vector) for id, vector in pairs if len(vector) == length]
    beside = [vector for _, vector in known if len(vector) == length]
    return EmbeddedEvents(
        network=network,
        ids=[id for id, _ in whole],
        vectors=np.stack([vector for _, vector in whole]),
        known=np.stack(beside) if beside else np.empty((0, length), np.float32),
    )


def _network_in(payload: object) -> object:
    content = parsed(payload) or {}
    return content.get("trunk") or content.get("bundle")
