"""The history's bound in bytes: the oldest row goes first, and the outbox keeps its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.store.effort import EffortMinute
from tests.edge.store.stores import embedding_in, open_store
from tests.support.store import BOOT, SYNCED, event_id, payload

SENT = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": {"synced": True}}


def test_the_history_is_bounded_and_the_outbox_keeps_its_own(path: Path) -> None:
    vector = np.zeros(100, np.float32)
    with open_store(path, history_bytes=5000) as store:
        for number in range(20):
            store.record(payload(number), dating=SYNCED, embedding=vector)
        kept = [p["id"] for p in store.detections()]
        assert kept == [event_id(n) for n in range(20)][-len(kept) :]
        assert 0 < len(kept) < 5
        assert embedding_in(store, event_id(0)) is None
        assert embedding_in(store, event_id(19)) is not None
        assert store.depth("mqtt")[0] == 20


def minute_at(number: int) -> EffortMinute:
    return EffortMinute(
        start_sample=number * 60_000,
        end_sample=(number + 1) * 60_000,
        sample_rate_hz=1000,
        heard=60_000,
    )


A_DAY = """
WITH RECURSIVE minutes (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM minutes WHERE n < ?)
INSERT INTO effort
SELECT (SELECT next FROM history) + n - ?, ? || (n * 60000), 400, '2024-05-01T05:30:00.000000Z',
    n * 60000, n * 60000 + 60000, 1000, 60, 0, 0, 0, ?, 0, 1, 1, 0, 0, 0, 0, 0, 60, 0
FROM minutes
"""


def test_a_year_of_minutes_stays_in_the_bound_of_the_history(path: Path) -> None:
    bound = 2_000_000
    year = 525_600
    day = 1440
    stream = f"pond|{BOOT}|123456789012"
    with open_store(path, sinks=(), history_bytes=bound) as store:
        store._db.execute("PRAGMA synchronous = OFF")  # 730 commits, and no power cut
        sizes = set()
        # All but the last of a day at once: a commit for each would take the disk an hour.
        for first in range(0, year, day):
            store._db.execute(A_DAY, (first, first + day - 2, first, f"{stream}/", BOOT))
            store.record_effort(minute_at(first + day - 1), SENT, stream=stream, dating=SYNCED)
            sizes.add(store._history.size_bytes <= bound)
        rows, oldest = store._db.execute(
            "SELECT count(*), min(start_sample) FROM effort"
        ).fetchone()
        assert rows > 1000
        assert oldest == (year - rows) * 60_000
        assert sizes == {True}
        counted = store._db.execute("SELECT sum(bytes) FROM effort").fetchone()[0]
        assert counted == store._history.size_bytes
    assert path.stat().st_size < 2 * bound


def test_the_oldest_goes_first_whatever_its_kind(path: Path) -> None:
    vector = np.zeros(100, np.float32)
    with open_store(path, history_bytes=20_000) as store:
        for number in range(60):
            store.record(payload(number), dating=SYNCED, embedding=vector)
            store.record_effort(minute_at(number), SENT, stream="a", dating=SYNCED)
        detections = [p["id"] for p in store.detections()]
        minutes = [
            row[0] // 60_000
            for row in store._db.execute("SELECT start_sample FROM effort ORDER BY number")
        ]
        assert 5 < len(detections) < 30
        assert detections == [event_id(n) for n in range(60 - len(detections), 60)]
        assert minutes == list(range(60 - len(minutes), 60))
        assert len(minutes) - len(detections) in (0, 1)
        assert store._db.execute("SELECT count(*) FROM embeddings").fetchone()[0] == len(detections)
        # The bound of the history takes nothing from the outbox.
        assert store.depth("mqtt")[0] == 120
    with open_store(path, history_bytes=0) as store:  # less was configured since
        store.record(payload(60), dating=SYNCED)
        assert store._history.size_bytes == 0
        assert store.depth("mqtt")[0] == 121
