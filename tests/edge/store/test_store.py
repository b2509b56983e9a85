"""The store: durable when a method returns, idempotent, and open to any thread."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np

from edge.store.effort import EffortMinute
from edge.store.store import Dating, Store
from tests.edge.store.stores import embedding_in, open_store, waiting
from tests.support.store import BOOT, SYNCED, UNSYNCED, event_id, health, payload


def test_a_detection_is_kept_and_queued_for_every_sink(path: Path) -> None:
    vector = np.arange(4, dtype=np.float32)
    with open_store(path, sinks=("mqtt", "other")) as store:
        assert store.record(payload(1), dating=SYNCED, embedding=vector)
        assert list(store.detections()) == waiting(store) == waiting(store, "other") == [payload(1)]
        kept = embedding_in(store, event_id(1))
        assert kept is not None
        assert np.abs(kept - vector).max() <= 3 / 254 + 1e-6
        assert embedding_in(store, event_id(2)) is None


def test_durable_settings(path: Path) -> None:
    with open_store(path) as store:
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_id_and_state_are_kept_once(path: Path) -> None:
    with open_store(path) as store:
        for expected in (True, False):
            for state in ("new", "update", "end"):
                assert store.record(payload(1, state=state), dating=SYNCED) is expected
        assert store.depth("mqtt")[0] == len(list(store.detections())) == 3


def test_a_later_update_takes_the_place_of_an_earlier(path: Path) -> None:
    with open_store(path) as store:
        store.record(payload(1, state="update"), dating=SYNCED)
        (old,) = store.pending("mqtt", limit=1)
        assert store.record(payload(1, state="update", end_sample=500_000), dating=SYNCED)
        store.done("mqtt", [old])  # its acknowledgement was on the way
        assert [p["end_sample"] for p in waiting(store)] == [500_000]
        assert [p["end_sample"] for p in store.detections()] == [500_000]


def test_a_row_leaves_when_acknowledged_and_stays_in_the_history(path: Path) -> None:
    with open_store(path, sinks=("mqtt", "other")) as store:
        for number in range(5):
            store.record(payload(number), dating=SYNCED)
        rows = store.pending("mqtt", limit=2)
        store.done("mqtt", rows)
        store.done("mqtt", rows)
        assert [p["id"] for p in waiting(store)] == [event_id(n) for n in (2, 3, 4)]
        assert store.depth("other")[0] == len(list(store.detections())) == 5
        skipped = store.pending("mqtt", limit=2, skip={store.pending("mqtt", limit=1)[0].seq})
        assert [json.loads(row.payload)["id"] for row in skipped] == [event_id(3), event_id(4)]


def test_rows_survive_the_process_and_lose_only_their_age(path: Path) -> None:
    with open_store(path, monotonic=lambda: 12.5) as store:
        store.record(payload(1), dating=SYNCED)
        assert [row.stored_s for row in store.pending("mqtt", limit=9)] == [12.5]
    with open_store(path) as store:
        assert [row.stored_s for row in store.pending("mqtt", limit=9)] == [None]


def test_a_full_outbox_drops_other_kinds_first_then_the_oldest_and_counts(path: Path) -> None:
    size = len(json.dumps(payload(1), ensure_ascii=False))
    with open_store(path, outbox_bytes=4 * size) as store:
        store.record(payload(0), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        for number in range(1, 6):
            store.record(payload(number), dating=SYNCED)
        assert store.dropped("mqtt") == {"health": 2, "detection": 2}
        assert [p["id"] for p in waiting(store)] == [event_id(n) for n in (2, 3, 4, 5)]
        used = sum(len(json.dumps(p, ensure_ascii=False)) for p in waiting(store))
        assert store.depth("mqtt") == (4, used)
        # The bound of the outbox takes nothing from the history.
        assert len(list(store.detections())) == 6
    with open_store(path) as store:
        assert store.dropped("mqtt") == {"health": 2, "detection": 2}


def test_the_ledger_is_kept_once_per_minute(path: Path) -> None:
    minute = EffortMinute(
        start_sample=0, end_sample=60_000, sample_rate_hz=1000, heard=50_000, lost=10_000
    )
    sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": {"synced": True}}
    with open_store(path) as store:
        assert store.record_effort(minute, sent, stream="a", dating=SYNCED)
        assert not store.record_effort(minute, sent, stream="a", dating=SYNCED)
        assert store.record_effort(minute, sent, stream="b", dating=SYNCED)
        seconds = store._db.execute("SELECT heard_s, lost_s, gated_s, dropped_s FROM effort")
        assert seconds.fetchall() == [(50.0, 10.0, 0.0, 0.0)] * 2


def _record_before_the_clock_was_set(store: Store) -> None:
    """Record detections 1 (sent) and 2, 3 of another start of the machine, and a minute."""
    for number in (1, 2):
        store.record(payload(number, synced=False), dating=UNSYNCED)
    store.done("mqtt", store.pending("mqtt", limit=1))
    other = Dating(boot_id="another start", offset_us=0, synced=False, uncertainty_s=1.0)
    store.record(payload(3, synced=False), dating=other)
    minute = EffortMinute(start_sample=0, end_sample=60_000, sample_rate_hz=1000, heard=60_000)
    clock = {"source": "system", "synced": False, "uncertainty_s": 9.0}
    sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": clock}
    store.record_effort(minute, sent, stream="a", dating=UNSYNCED)


def test_rows_from_before_the_clock_was_set_are_corrected_once_unless_sent(path: Path) -> None:
    with open_store(path) as store:
        _record_before_the_clock_was_set(store)
        assert not store.pending("mqtt", limit=9, unsynced=False)
    # The program was restarted, and dates by another wrong clock now.
    with open_store(path) as store:
        restarted = Dating(boot_id=BOOT, offset_us=60_000_000, synced=False, uncertainty_s=1.0)
        store.record(payload(4, synced=False), dating=restarted)
        right = Dating(boot_id=BOOT, offset_us=3_600_500_000, synced=True, uncertainty_s=0.02)
        assert store.redate(right) == 3
        assert store.redate(right) == 0
        starts = {
            p.get("id", "minute"): (p["start_utc"][11:], p["clock"]["synced"])
            for p in waiting(store)
        }
        assert starts == {
            event_id(2): ("06:30:00.500000Z", True),
            event_id(3): ("05:30:00.000000Z", False),
            "minute": ("06:30:00.500000Z", True),
            event_id(4): ("06:29:00.500000Z", True),
        }
        history = {p["id"]: p["start_utc"][11:] for p in store.detections()}
        assert history[event_id(1)] == "05:30:00.000000Z"  # it was sent so, and stays so
        assert history[event_id(2)] == "06:30:00.500000Z"
        assert store._db.execute("SELECT start_utc FROM effort").fetchall() == [
            ("2024-05-01T06:30:00.500000Z",)
        ]
        assert len(store.pending("mqtt", limit=9, unsynced=False)) == 3


def test_listeners_are_called_for_new_rows_only(path: Path) -> None:
    with open_store(path) as store:
        depths: list[int] = []
        end = store.listen(lambda: depths.append(store.depth("mqtt")[0]))
        store.record(payload(1), dating=SYNCED)
        store.record(payload(1), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        assert depths == [1, 2]
        end()
        store.record(payload(2), dating=SYNCED)
        assert depths == [1, 2]


def test_any_thread_may_call(path: Path) -> None:
    """Each row is kept once and sent once to each sink by four writers and two senders."""
    sent: dict[str, list[str]] = {"a": [], "b": []}
    with open_store(path, sinks=("a", "b")) as store:

        def write(first: int) -> None:
            for number in range(first, first + 40):
                store.record(payload(number), dating=SYNCED)

        def send(sink: str) -> None:
            deadline = time.monotonic() + 60
            while len(sent[sink]) < 100 and time.monotonic() < deadline:
                rows = store.pending(sink, limit=7)
                sent[sink] += [json.loads(row.payload)["id"] for row in rows]
                store.done(sink, rows)

        threads = [threading.Thread(target=write, args=(first,)) for first in (0, 20, 40, 60)]
        threads += [threading.Thread(target=send, args=(sink,)) for sink in sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        everything = sorted(event_id(n) for n in range(100))
        assert sorted(p["id"] for p in store.detections()) == everything
        assert sorted(sent["a"]) == everything
        assert sorted(sent["b"]) == everything
