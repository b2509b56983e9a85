"""The events of a day, and the last one, whatever else comes in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.mqtt.today import Today
from edge.store.store import Dating, Store
from tests.support.store import BOOT, SYNCED, UNSYNCED, payload

EVENING = datetime(2024, 5, 1, 20, 0, tzinfo=timezone(timedelta(hours=2)))


class Clock:
    now = EVENING

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store:
        yield store


def found(
    store: Store, number: int, *, state: str = "new", at: str = "2024-05-01T05:30:00"
) -> None:
    label = None if number % 3 == 0 else f"species_{number}"
    store.record(
        payload(number, state=state, start_utc=f"{at}.000000Z", label=label), dating=SYNCED
    )


def seen(today: Today) -> tuple[int, str | None]:
    summary = today.summary()
    assert summary is not None
    return summary["events"], summary["label"]


def test_neither_ends_nor_unknowns_nor_updates_change_it(store: Store) -> None:
    today = Today(store, device="r1", now=Clock())
    assert seen(today) == (0, None)
    found(store, 1)
    found(store, 2)
    assert seen(today) == (2, "species_2")
    found(store, 1, state="update")
    found(store, 1, state="end")
    found(store, 3)
    assert seen(today) == (2, "species_2")
    found(store, 6)
    found(store, 6, state="end")
    summary = today.summary()
    assert summary is not None
    assert summary["unnamed"] == 2


def test_a_restart_counts_back_to_midnight_of_the_recorders_own_time_zone(store: Store) -> None:
    found(store, 1, at="2024-04-30T12:00:00")
    found(store, 2, at="2024-04-30T21:59:00")
    for number in range(4, 1300):
        found(store, number, at="2024-04-30T22:01:00")  # after midnight there
    counted = sum(number % 3 > 0 for number in range(4, 1300))
    assert seen(Today(store, device="r1", now=Clock())) == (counted, "species_1298")


def test_a_new_day_begins_at_0_and_knows_the_last(store: Store) -> None:
    clock = Clock()
    today = Today(store, device="r1", now=clock)
    found(store, 1)
    assert seen(today) == (1, "species_1")
    clock.now = EVENING + timedelta(hours=5)
    assert seen(today) == (0, "species_1")
    found(store, 2, at="2024-05-01T23:00:00")
    assert seen(today) == (1, "species_2")


def test_what_is_dated_anew_is_counted_anew(store: Store) -> None:
    today = Today(store, device="r1", now=Clock())
    undated = payload(1, state="new", synced=False, start_utc="1970-01-01T00:00:10.000000Z")
    store.record(undated, dating=UNSYNCED)
    assert seen(today) == (0, "low_hummer")
    right = Dating(boot_id=BOOT, offset_us=1_714_550_000_000_000, synced=True, uncertainty_s=0.1)
    store.redate(right)
    assert seen(today) == (1, "low_hummer")


def test_a_damaged_row_is_passed_over(store: Store, tmp_path: Path) -> None:
    for number in (1, 2, 4):
        found(store, number)
    with sqlite3.connect(tmp_path / "edge.db") as db:
        db.execute("UPDATE detections SET payload = '{' WHERE number = 3")
        db.execute("UPDATE detections SET payload = '{\"start_utc\": 7}' WHERE number = 2")
    db.close()
    assert seen(Today(store, device="r1", now=Clock())) == (1, "species_1")
