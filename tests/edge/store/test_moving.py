"""Rows that were kept in memory move to the file whole, and in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import StoreError
from edge.store.effort import EffortMinute
from edge.store.moving import move_rows
from tests.edge.store.stores import embedding_in, open_store, waiting
from tests.support.store import SYNCED, event_id, health, payload

MEMORY = Path(":memory:")
MINUTE = EffortMinute(start_sample=0, end_sample=60, sample_rate_hz=1, heard=60)


def test_history_outbox_and_embeddings_move(path: Path) -> None:
    with open_store(path) as file, open_store(MEMORY) as memory:
        file.record(payload(1), dating=SYNCED)
        memory.record(payload(1), dating=SYNCED)  # known already
        vector = np.arange(3, dtype=np.float32)
        memory.record(payload(2), dating=SYNCED, embedding=vector)
        memory.record_effort(MINUTE, {"start_utc": "2024"}, stream="s", dating=SYNCED)
        memory.record_health(health(), dating=SYNCED)
        memory.record(payload(3), dating=SYNCED)
        size = file.history_size()[0]
        move_rows(memory, file)
        assert [p["id"] for p in file.detections()] == [event_id(n) for n in (1, 2, 3)]
        embedding = embedding_in(file, event_id(2))
        assert embedding is not None
        np.testing.assert_allclose(embedding, vector, atol=2 / 254 + 1e-6)
        assert file._db.execute("SELECT heard_s FROM effort").fetchall() == [(60.0,)]
        ids = [row["id"] for row in waiting(file) if "id" in row]
        assert ids == [event_id(n) for n in (1, 1, 2, 3)]  # who counts by id counts each once
        assert len(waiting(file)) == 6
        assert file.history_size()[0] > size
        assert file.depth("mqtt")[0] == 6
    with open_store(path) as file:
        assert file.quarantined is None


def test_what_does_not_fit_stays_in_memory(path: Path) -> None:
    with open_store(path) as file, open_store(MEMORY) as memory:
        for number in range(200):
            memory.record(payload(number), dating=SYNCED)
        pages = file._db.execute("PRAGMA page_count").fetchone()[0]
        file._db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()
        with pytest.raises(StoreError):
            move_rows(memory, file)
        assert not list(file.detections())
        assert len(list(memory.detections())) == 200
