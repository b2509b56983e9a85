"""Each event once, as it is last known, by time and by label: whatever becomes of its rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.store.dating import Dating
from edge.store.events import Question, find, known_labels, neighbours, select
from edge.store.moving import move_rows
from edge.store.reading import reading
from edge.store.store import Store
from tests.edge.store.stores import open_store
from tests.support.store import SYNCED, UNSYNCED, event_id, payload


def time_of_event(number: int) -> str:
    return f"2024-05-01T05:{number:02d}:00.000000Z"


def record(
    store: Store, number: int, state: str = "end", dating: Dating = SYNCED, **more: Any
) -> None:
    start: dict[str, Any] = {"start_utc": time_of_event(number), "end_utc": time_of_event(number)}
    store.record(payload(number, state=state, **{**start, **more}), dating=dating)


def states(path: Path, question: Question | None = None) -> list[tuple[str, str]]:
    with reading(path) as db:
        return [(e.id, e.state) for e in select(db, question or Question())]


def test_an_event_is_its_last_row(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with open_store(path) as store:
        for state, end in (("new", 1), ("update", 2), ("update", 3), ("end", 4)):
            record(store, 1, state, end_sample=end)
            assert states(path) == [(event_id(1), state)]
            record(store, 1, "new", end_sample=1)  # the same again
            assert states(path) == [(event_id(1), state)]


def test_the_index_by_time_answers_and_follows_a_clock_that_is_set(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with open_store(path) as store:
        record(store, 1, "new", UNSYNCED)
        record(store, 1, "end", UNSYNCED)
        store.redate(replace(SYNCED, offset_us=3_600_000_000))
    with reading(path) as db:
        (event,) = select(db, Question())
        assert event.start == datetime(2024, 5, 1, 6, 1, tzinfo=timezone.utc)
        assert list(select(db, Question(until=event.start))) == []
        where, values = Question(since=event.start).where()
        plan = db.execute(f"EXPLAIN QUERY PLAN SELECT id FROM events WHERE {where}", values)
        assert "latest_time" in " ".join(row[3] for row in plan)


def test_what_is_pruned_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with open_store(path, history_bytes=20_000) as store:
        for number in range(50):
            record(store, number, "new")
            record(store, number, "end")
        kept = [p["id"] for p in store.detections() if p["state"] == "end"]
    assert [id for id, _ in states(path)] == kept
    assert 0 < len(kept) < 50


def test_rows_that_were_in_memory_are_one_event_with_those_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with open_store(Path(":memory:")) as memory, open_store(path) as disk:
        record(disk, 1, "new")
        record(memory, 1, "new")
        record(memory, 1, "end")
        record(memory, 2, "end")
        memory.record_health({"time_utc": time_of_event(1)}, dating=SYNCED)
        move_rows(memory, disk)
    assert states(path) == [(event_id(1), "end"), (event_id(2), "end")]
    with reading(path) as db:
        assert db.execute("SELECT count(*) FROM levels").fetchone()[0] == 1


def test_labels_unknown_ones_and_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    with open_store(path) as store:
        for number in range(7):
            record(store, number)
    with reading(path) as db:
        assert known_labels(db) == {"low_hummer": "Low hummer"}
        unknown = [e.id for e in select(db, Question(unknown=True))]
        assert unknown == [event_id(0), event_id(3), event_id(6)]
        event = find(db, event_id(3))
        assert event is not None
        assert [e.id for e in neighbours(db, event, 2)] == [event_id(n) for n in (1, 2, 4, 5)]


def test_only_the_levels_of_two_days_are_kept(tmp_path: Path) -> None:
    with open_store(tmp_path / "edge.db", sinks=()) as store:
        store._db.execute("PRAGMA synchronous = OFF")
        for _ in range(2900):
            store.record_health({"time_utc": time_of_event(1)}, dating=SYNCED)
        assert store._db.execute("SELECT count(*) FROM levels").fetchone() == (2880,)
