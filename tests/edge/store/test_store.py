"""The store: durable when it returns, idempotent, bounded, and alive after damage."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import StoreError
from edge.store.ballast import Ballast
from edge.store.effort import EffortMinute
from edge.store.store import Dating, Store
from tests.support.store import BOOT, SYNCED, UNSYNCED, event_id, health, payload

ROOT = Path(__file__).resolve().parents[3]


def open_store(path: Path, **options: Any) -> Store:
    return Store(path, **{"outbox_bytes": 10_000_000, "history_bytes": 10_000_000, **options})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "edge.db"


def waiting(store: Store, sink: str = "mqtt") -> list[dict[str, Any]]:
    return [json.loads(row.payload) for row in store.pending(sink, limit=10_000)]


def test_a_detection_is_kept_and_queued_for_every_sink(path: Path) -> None:
    vector = np.arange(4, dtype=np.float32)
    with open_store(path, sinks=("mqtt", "other")) as store:
        assert store.record(payload(1), dating=SYNCED, embedding=vector)
        assert list(store.detections()) == waiting(store) == waiting(store, "other") == [payload(1)]
        np.testing.assert_array_equal(store.embedding(event_id(1)), vector)
        assert store.embedding(event_id(2)) is None


def test_durable_settings(path: Path) -> None:
    with open_store(path) as store:
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_id_and_state_are_kept_once(path: Path) -> None:
    with open_store(path) as store:
        assert [
            store.record(payload(1, state=s), dating=SYNCED) for s in ("new", "update", "end")
        ] == [True] * 3
        assert [
            store.record(payload(1, state=s), dating=SYNCED) for s in ("new", "update", "end")
        ] == [False] * 3
        assert store.depth("mqtt")[0] == len(list(store.detections())) == 3


def test_a_later_update_takes_the_place_of_an_earlier(path: Path) -> None:
    with open_store(path) as store:
        store.record(payload(1, state="update"), dating=SYNCED)
        (old,) = store.pending("mqtt", limit=1)
        assert store.record(payload(1, state="update", end_sample=500_000), dating=SYNCED)
        store.done("mqtt", [old.seq])  # its acknowledgement was on the way
        assert (
            [p["end_sample"] for p in waiting(store)]
            == [p["end_sample"] for p in store.detections()]
            == [500_000]
        )


def test_a_row_leaves_when_acknowledged_and_stays_in_the_history(path: Path) -> None:
    with open_store(path, sinks=("mqtt", "other")) as store:
        for number in range(5):
            store.record(payload(number), dating=SYNCED)
        rows = store.pending("mqtt", limit=2)
        store.done("mqtt", [row.seq for row in rows])
        store.done("mqtt", [row.seq for row in rows])
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


def test_a_full_outbox_drops_what_is_no_detection_first_then_the_oldest_and_counts(
    path: Path,
) -> None:
    size = len(json.dumps(payload(1), ensure_ascii=False))
    with open_store(path, outbox_bytes=4 * size) as store:
        store.record(payload(0), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        for number in range(1, 6):
            store.record(payload(number), dating=SYNCED)
        assert store.dropped("mqtt") == {"health": 2, "detection": 2}
        assert [p["id"] for p in waiting(store)] == [event_id(n) for n in (2, 3, 4, 5)]
        rows, used = store.depth("mqtt")
        assert (rows, used) == (
            4,
            sum(len(json.dumps(p, ensure_ascii=False)) for p in waiting(store)),
        )
        # the bound of the outbox costs nothing of the history
        assert len(list(store.detections())) == 6
    with open_store(path) as store:
        assert store.dropped("mqtt") == {"health": 2, "detection": 2}


def test_the_history_is_bounded_and_the_outbox_keeps_its_own(path: Path) -> None:
    vector = np.zeros(100, np.float32)
    with open_store(path, history_bytes=5000) as store:
        for number in range(20):
            store.record(payload(number), dating=SYNCED, embedding=vector)
        kept = [p["id"] for p in store.detections()]
        assert kept == [event_id(n) for n in range(20)][-len(kept) :]
        assert 0 < len(kept) < 5
        assert store.embedding(event_id(0)) is None
        assert store.embedding(event_id(19)) is not None
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
INSERT INTO effort SELECT (SELECT next FROM history) + n - ?, ? || (n * 60000), 400, '2024-05-01T05:30:00.000000Z', n * 60000,
    n * 60000 + 60000, 1000, 60, 0, 0, 0, ?, 0, 1, 1 FROM minutes
"""


def test_a_year_of_minutes_stays_in_the_bound_of_the_history(path: Path) -> None:
    bound, year, day = 2_000_000, 525_600, 1440
    sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": {"synced": True}}
    with open_store(path, sinks=(), history_bytes=bound) as store:
        store._db.execute("PRAGMA synchronous = OFF")  # 730 commits, and no power cut
        sizes = set()
        # all but the last of a day at once: a commit for each would take the disk an hour
        for first in range(0, year, day):
            store._db.execute(
                A_DAY, (first, first + day - 2, first, f"pond|{BOOT}|123456789012/", BOOT)
            )
            store.record_effort(
                minute_at(first + day - 1), sent, stream=f"pond|{BOOT}|123456789012", dating=SYNCED
            )
            sizes.add(store._history.size_bytes <= bound)
        rows, oldest = store._db.execute(
            "SELECT count(*), min(start_sample) FROM effort"
        ).fetchone()
        assert rows > 1000
        assert oldest == (year - rows) * 60_000
        assert sizes == {True}
        assert (
            store._db.execute("SELECT sum(bytes) FROM effort").fetchone()[0]
            == store._history.size_bytes
        )
    assert path.stat().st_size < 2 * bound


def test_the_oldest_goes_first_whatever_it_tells(path: Path) -> None:
    sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": {"synced": True}}
    vector = np.zeros(100, np.float32)
    with open_store(path, history_bytes=20_000) as store:
        for number in range(60):
            store.record(payload(number), dating=SYNCED, embedding=vector)
            store.record_effort(minute_at(number), sent, stream="a", dating=SYNCED)
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
        # what is still to be sent is not the history's to forget
        assert store.depth("mqtt")[0] == 120
    with open_store(path, history_bytes=0) as store:  # less is asked for from now on
        store.record(payload(60), dating=SYNCED)
        assert store._history.size_bytes == 0
        assert store.depth("mqtt")[0] == 121


def test_the_ledger_is_kept_once_per_minute(path: Path) -> None:
    minute = EffortMinute(
        start_sample=0, end_sample=60_000, sample_rate_hz=1000, heard=50_000, lost=10_000
    )
    sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": {"synced": True}}
    with open_store(path) as store:
        assert store.record_effort(minute, sent, stream="a", dating=SYNCED)
        assert not store.record_effort(minute, sent, stream="a", dating=SYNCED)
        assert store.record_effort(minute, sent, stream="b", dating=SYNCED)
        assert (
            store._db.execute("SELECT heard_s, lost_s, gated_s, dropped_s FROM effort").fetchall()
            == [(50.0, 10.0, 0.0, 0.0)] * 2
        )


def test_rows_from_before_the_clock_was_set_are_corrected_once_unless_sent(path: Path) -> None:
    minute = EffortMinute(start_sample=0, end_sample=60_000, sample_rate_hz=1000, heard=60_000)
    clock = {"source": "system", "synced": False, "uncertainty_s": 9.0}
    with open_store(path) as store:
        for number in (1, 2):
            store.record(payload(number, synced=False), dating=UNSYNCED)
        store.done("mqtt", [store.pending("mqtt", limit=1)[0].seq])
        other = Dating(boot_id="another start", offset_us=0, synced=False, uncertainty_s=1.0)
        store.record(payload(3, synced=False), dating=other)
        store.record_effort(
            minute,
            {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": clock},
            stream="a",
            dating=UNSYNCED,
        )
        assert not store.pending("mqtt", limit=9, unsynced=False)
    # the program was restarted, and dates by another wrong clock now
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


def test_listeners_hear_of_new_rows_only(path: Path) -> None:
    with open_store(path) as store:
        heard: list[int] = []
        end = store.listen(lambda: heard.append(store.depth("mqtt")[0]))
        store.record(payload(1), dating=SYNCED)
        store.record(payload(1), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        assert heard == [1, 2]
        end()
        store.record(payload(2), dating=SYNCED)
        assert heard == [1, 2]


def test_any_thread_may_call(path: Path) -> None:
    """Four writers of overlapping detections and two sinks that acknowledge: each row is kept once
    and sent once to each sink.
    """
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
                store.done(sink, [row.seq for row in rows])

        threads = [threading.Thread(target=write, args=(first,)) for first in (0, 20, 40, 60)]
        threads += [threading.Thread(target=send, args=(sink,)) for sink in sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        everything = sorted(event_id(n) for n in range(100))
        assert (
            sorted(p["id"] for p in store.detections())
            == sorted(sent["a"])
            == sorted(sent["b"])
            == everything
        )


def other_version(path: Path, version: int) -> None:
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(f"CREATE TABLE x (y); PRAGMA user_version = {version}")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "page", "foreign", "older"])
def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(path: Path, damage: str) -> None:
    with open_store(path) as store:
        for number in range(200):
            store.record(payload(number), dating=SYNCED)
    content = bytearray(path.read_bytes())
    match damage:
        case "garbage":
            path.write_bytes(b"not a database at all" * 1000)
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "page":
            content[40_960:57_344] = random.Random(1).randbytes(16_384)
            path.write_bytes(content)
        case "foreign" | "older":
            other_version(path, 0 if damage == "foreign" else 1)
    before = path.read_bytes()
    with open_store(path) as store:
        assert store.quarantined is not None
        assert store.quarantined.name.startswith("edge.db.damaged-")
        assert store.quarantined.read_bytes() == before
        assert not list(store.detections())
        assert store.record(payload(1), dating=SYNCED)
    path.write_bytes(b"damaged again" * 1000)  # within the same second
    with open_store(path) as again:
        assert again.quarantined not in (None, store.quarantined)


def test_a_store_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    other_version(path, 99)
    before = path.read_bytes()
    with pytest.raises(
        StoreError,
        match=r"edge\.db: is of version 99, newer than this program's \d+: update the program",
    ) as caught:
        open_store(path)
    assert "\n" not in str(caught.value)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("edge.db", before)]


def test_a_place_that_cannot_be_written_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match=r"folder\.db"):
        open_store(tmp_path / "folder.db")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.db"]


def _record_all(store: Store, numbers: Iterator[int]) -> None:
    for number in numbers:
        store.record(payload(number), dating=SYNCED)


def test_a_full_disk_is_told_and_passes(path: Path) -> None:
    with open_store(path) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        numbers = iter(range(100))
        with pytest.raises(StoreError, match="full"):
            _record_all(store, numbers)
        failed = next(numbers) - 1
        assert store.depth("mqtt")[0] == len(list(store.detections())) == failed
        store._db.execute("PRAGMA max_page_count = 1000000").fetchone()
        assert store.record(payload(failed), dating=SYNCED)


def test_the_ballast_is_really_there_given_up_in_parts_and_taken_back(tmp_path: Path) -> None:
    free = [2_000_000]
    path = tmp_path / "ballast"

    def open_ballast(size: int) -> Ballast:
        return Ballast(path, size_bytes=size, free_bytes=lambda folder: free[0])

    ballast = open_ballast(1_000_000)
    assert not ballast.whole
    assert ballast.refill()
    assert path.stat().st_blocks * 512 >= 1_000_000
    sizes = []
    while ballast.release():
        sizes.append(ballast.held_bytes)
    assert sizes[0] < 1_000_000
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
    assert len(sizes) == 64
    assert not path.exists()
    free[0] = 1_999_999  # it would take more than half of what there is
    assert not ballast.refill()
    free[0] = 2_000_000
    assert ballast.refill()
    assert open_ballast(1_000_000).whole
    # the configuration asks for less
    assert open_ballast(500_000).held_bytes == path.stat().st_size == 500_000
    none = open_ballast(0)
    assert none.whole
    assert not none.release()
    assert not path.exists()


WRITER = """
import sys
from pathlib import Path
from edge.store.store import Store
from tests.support.store import SYNCED, payload
with Store(Path(sys.argv[1]), outbox_bytes=10**9, history_bytes=10**9) as store:
    for number in range(int(sys.argv[2]), 10**6):
        for state in ("new", "end"):
            store.record(payload(number, state=state), dating=SYNCED)
            print(number, state, flush=True)
"""


def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_doubled(path: Path) -> None:
    dice = random.Random(4)
    said: set[tuple[str, str]] = set()
    first = 0
    for _ in range(8):
        command = [sys.executable, "-c", WRITER, str(path), str(first)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline()]
            time.sleep(dice.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.read().splitlines()
        # the kill may cut the last line short
        pairs = [words for line in lines if len(words := line.split()) == 2]
        said |= {
            (event_id(int(number)), state) for number, state in pairs if state in ("new", "end")
        }
        first = max(0, int(pairs[-1][0]) - 1)  # the last ones are recorded again after the restart
    with open_store(path) as store:
        assert store.quarantined is None
        kept = [(p["id"], p["state"]) for p in store.detections()]
        queued = [(p["id"], p["state"]) for p in waiting(store)]
    assert len(said) > 16
    assert said <= set(kept)
    assert len(kept) == len(set(kept))
    assert sorted(kept) == sorted(queued)
