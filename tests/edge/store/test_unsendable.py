"""Rows that cannot be sent, and stores that a failing card has changed: the other rows go on."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from pathlib import Path

import pytest

from edge.store.dating import Dating
from edge.store.effort import EffortMinute
from edge.store.store import Store
from tests.edge.store.stores import embedding_in, open_store, waiting
from tests.support.damaged_stores import damage_one, survive
from tests.support.store import BOOT, SYNCED, UNSYNCED, event_id, health, payload

RIGHT = Dating(boot_id=BOOT, offset_us=3_600_000_000, synced=True, uncertainty_s=0.02)
DAMAGES = 60  # `python -m tests.support.damaged_stores 300` takes its time


@pytest.mark.parametrize("seed", range(DAMAGES))
def test_a_damaged_store_that_stays_in_use_delivers(path: Path, seed: int) -> None:
    how = damage_one(path, random.Random(seed))
    try:
        survive(path)
    except Exception as exc:
        raise AssertionError(f"after {how}") from exc


def change(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


SPOILT = {
    "a byte that is no UTF-8": "payload = CAST(x'7b2261223a22ff227d' AS TEXT)",
    "no JSON": "payload = substr(payload, 1, 100)",
    "no object": "payload = '[]'",
    "no label": "payload = replace(payload, '\"label\"', '\"labfl\"')",
    "a label of another type": "payload = replace(payload, '\"low_hummer\"', '7')",
    "a number of a thousand digits": "payload = '{\"label\":' || printf('%.9999c', '1') || '}'",
    "nested without end": "payload = printf('%.99999c', '[')",
    "bytes": "payload = x'7b7d'",
    "NaN": "payload = replace(payload, '0.9', 'NaN')",
    "an unknown kind": "kind = 'detectioo'",
    "a key that is no text": "key = CAST(x'ff' AS TEXT)",
    "an offset that is no number": "offset_us = 'x'",
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_row_is_set_aside_counted_and_told_once_and_the_others_go(
    path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    with open_store(path) as store:
        for number in (1, 2, 4):
            store.record(payload(number), dating=SYNCED)
    change(path, f"UPDATE outbox SET {spoilt} WHERE seq = 2")
    with open_store(path) as store:
        assert [p["id"] for p in waiting(store)] == [event_id(1), event_id(4)]
        assert [p["id"] for p in waiting(store)] == [event_id(1), event_id(4)]
        assert store.depth("mqtt")[0] == 2
        assert store.aside("mqtt") == {"unsendable": 1, "too_large": 0}
        assert [r.getMessage() for r in caplog.records if "set aside" in r.getMessage()] == [
            f"store {path}: 1 messages are set aside, since they cannot be read;"
            " the others are sent"
        ]
        kept = "SELECT count(*) FROM outbox WHERE sink = 'mqtt/unsendable' AND seq = 2"
        assert store._db.execute(kept).fetchone() == (1,)


def test_what_cannot_be_dated_anew_is_treated_alike(path: Path) -> None:
    minute = EffortMinute(start_sample=0, end_sample=60, sample_rate_hz=1, heard=60)
    clock = {"source": "system", "synced": False, "uncertainty_s": 9.0}
    sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": clock}
    with open_store(path) as store:
        for number in (1, 2, 4, 5):
            store.record(payload(number, synced=False), dating=UNSYNCED)
        store.record_effort(minute, sent, stream="s", dating=UNSYNCED)
    for table, column in (("outbox", "seq"), ("detections", "number")):
        change(
            path,
            f"UPDATE {table} SET payload = 'x' WHERE {column} = 1",
            f"UPDATE {table} SET payload = replace(payload, '2024-', '20y4-') WHERE {column} = 2",
            f"UPDATE {table} SET offset_us = -9223372036854775807 WHERE {column} = 3",
        )
    change(path, "UPDATE effort SET start_utc = 'soon'")
    with open_store(path) as store:
        assert store.redate(RIGHT) == 2
        assert store.aside("mqtt")["unsendable"] == 3
        assert [p.get("id", "minute") for p in waiting(store)] == [event_id(5), "minute"]
        assert [p["start_utc"][11:13] for p in waiting(store)] == ["06", "06"]
        assert {p["id"] for p in store.detections()} == {event_id(n) for n in (2, 4, 5)}
        assert store.record(payload(7), dating=SYNCED)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE outbox_size SET bytes = 1 << 50",
        "DELETE FROM outbox_size",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807",
        "UPDATE outbox SET seq = 9223372036854775807 WHERE seq = 3",
        "UPDATE outbox SET bytes = 1 << 50",
        "UPDATE outbox_dropped SET rows = 'x'",
        "UPDATE history SET next = 1",
        "UPDATE history SET bytes = 1 << 50",
        "DELETE FROM history",
        "UPDATE detections SET bytes = 1 << 50",
        "UPDATE detections SET number = 9223372036854775807 WHERE number = 3",
        "UPDATE outbox SET sink = 'mqtu' WHERE seq = 1",
    ],
)
def test_what_follows_from_the_rows_is_made_anew_at_opening(path: Path, damage: str) -> None:
    with open_store(path) as store:
        for number in range(1, 4):
            store.record(payload(number), dating=SYNCED)
    change(path, damage)
    orphans = int("sink" in damage)
    with open_store(path) as store:
        assert store.quarantined is None
        assert store.depth("mqtt")[0] == 3 - orphans
        assert store.aside("mqtt")["unsendable"] == orphans
        assert store.record(payload(4), dating=SYNCED)
        rows = store.pending("mqtt", limit=9)
        assert [row.key for row in rows] == [f"{event_id(n)}/end" for n in range(1 + orphans, 5)]
        assert store.done("mqtt", rows) == 0
        assert store.depth("mqtt") == (0, 0)
        assert len(list(store.detections())) == 4
        assert store.dropped("mqtt") == {}


@pytest.mark.parametrize(
    "broken",
    [
        "DROP TRIGGER outbox_removed",
        "DROP INDEX outbox_order",
        "ALTER TABLE outbox RENAME COLUMN payload TO payloae",
    ],
)
def test_a_file_with_other_tables_is_set_aside(path: Path, broken: str) -> None:
    with open_store(path) as store:
        store.record(payload(1), dating=SYNCED)
    change(path, broken)
    with open_store(path) as store:
        assert store.quarantined is not None
        assert store.record(payload(1), dating=SYNCED)


def test_a_message_of_sqlite_that_is_no_text_is_one_of_damage(path: Path) -> None:
    with open_store(path) as store:
        store.record(payload(1), dating=SYNCED)
    content = path.read_bytes()
    assert b"outbox_kinds ON" in content
    path.write_bytes(
        content.replace(b"outbox_kinds ON", b"outbox_kin\xf2s ON").replace(
            b"indexoutbox_kinds", b"indexoutbox_kin\xf2s"
        )
    )
    with open_store(path) as store:
        assert store.quarantined is not None


def cut_off_index(path: Path, name: str) -> None:
    """Leave an index that knows nothing of the rows, as a lost write does."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    start = (root - 1) * size
    content[start : start + 8] = bytes([10, 0, 0, 0, 0]) + size.to_bytes(2, "big") + b"\0"
    path.write_bytes(content)


@pytest.mark.parametrize("index", ["outbox_order", "outbox_key", "detections_id"])
def test_an_index_that_does_not_know_its_rows_stops_nothing(path: Path, index: str) -> None:
    with open_store(path) as store:
        for number in range(1, 6):
            store.record(payload(number), dating=SYNCED)
    cut_off_index(path, index)
    survive(path)


def test_damage_that_shows_while_in_use_is_mended(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(path) as store:
        store.record(payload(1), dating=SYNCED)
        rows = store.pending("mqtt", limit=9)
        failures = iter([sqlite3.DatabaseError("database disk image is malformed")])

        def work() -> int:
            for failure in failures:
                raise failure
            return store._outbox.done("mqtt", rows)

        assert store._shared.read(work) == 0
        assert store.depth("mqtt") == (0, 0)
    assert "making its indexes anew" in caplog.text


def test_damage_beyond_that_is_set_aside_while_in_use_and_the_store_goes_on(path: Path) -> None:
    with open_store(path) as store:
        store.record(payload(1), dating=SYNCED)
        before = store.generation

        def work() -> int:
            if store.quarantines == 0:
                raise sqlite3.DatabaseError("database disk image is malformed")
            return store._outbox.depth("mqtt")[0]

        assert store._shared.read(work) == 0
        assert store.quarantined is not None
        assert store.quarantined.exists()
        assert store.generation > before
        assert store.record(payload(2), dating=SYNCED)
        assert [p["id"] for p in waiting(store)] == [event_id(2)]


def test_what_is_set_aside_is_bounded_and_the_first_to_go(path: Path) -> None:
    size = len(json.dumps(payload(1), ensure_ascii=False))
    with open_store(path, outbox_bytes=4 * size + 100) as store:
        for number in (1, 2):
            store.record(payload(number), dating=SYNCED)
        for row in store.pending("mqtt", limit=2):
            store.set_aside("mqtt", row, "too_large")
        assert store.depth("mqtt") == (0, 0)
        for number in (4, 5, 7):
            store.record(payload(number), dating=SYNCED)
        assert store.take_back("mqtt", largest_bytes=10**6) == 1
        assert [p["id"] for p in waiting(store)] == [event_id(n) for n in (2, 4, 5, 7)]
        assert store.take_back("mqtt", largest_bytes=10**6) == 0
        assert store.dropped("mqtt") == {}
        assert store.aside("mqtt") == {"unsendable": 0, "too_large": 2}


def test_only_what_is_small_enough_is_taken_back(path: Path) -> None:
    with open_store(path) as store:
        store.record(payload(1), dating=SYNCED)
        store.record_health(health(), dating=SYNCED)
        for row in store.pending("mqtt", limit=2):
            store.set_aside("mqtt", row, "too_large")
        assert store.take_back("mqtt", largest_bytes=500) == 1
        assert [row.kind for row in store.pending("mqtt", limit=9)] == ["health"]


def test_a_row_dated_anew_since_it_was_read_stays(path: Path) -> None:
    with open_store(path) as store:
        for number in (1, 2):
            store.record(payload(number, synced=False), dating=UNSYNCED)
        sent = store.pending("mqtt", limit=9)
        store.redate(RIGHT)
        assert store.done("mqtt", sent) == 2
        again = store.pending("mqtt", limit=9)
        assert [json.loads(row.payload)["start_utc"][11:13] for row in again] == ["06", "06"]
        assert store.done("mqtt", again) == 0
        assert store.depth("mqtt") == (0, 0)
        assert store._db.execute("SELECT sum(sent) FROM detections").fetchone() == (2,)


def test_an_embedding_of_half_a_number_is_none(path: Path) -> None:
    with Store(path, outbox_bytes=10**6, history_bytes=10**6) as store:
        store._db.execute("INSERT INTO embeddings VALUES ('x', x'00ff00', '', 0)")
        assert embedding_in(store, "x") is None
