"""A day is the recorder's own, with as many hours as it has where the clocks change."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta, timezone
from math import ceil
from pathlib import Path

import pytest

from edge.clock import rfc3339
from edge.page.access import Access
from edge.page.app import create_app
from edge.page.charts import effort_strip
from edge.page.days import Day, day_of
from edge.page.place import Place, place_of
from edge.store.effort import EffortMinute
from edge.store.reading import reading
from edge.store.store import Store
from tests.support.daemons import write_config
from tests.support.heard import RATE_HZ, record_event
from tests.support.store import SYNCED

HALF_HOUR = timedelta(minutes=30)
NOW = datetime(2027, 1, 1, tzinfo=timezone.utc)
CHANGES = [
    ("Europe/Vienna", date(2026, 3, 29), 23.0, {"02"}),
    ("Europe/Vienna", date(2026, 10, 25), 25.0, set()),
    ("America/Santiago", date(2026, 9, 6), 23.0, {"00"}),  # which has no midnight
    ("Australia/Lord_Howe", date(2026, 4, 5), 24.5, set()),
    ("Asia/Kathmandu", date(2026, 4, 5), 24.0, set()),
]


def recorder(folder: Path, zone: str, day: date) -> Place:
    """Record an event and half an hour of effort every half hour around a day."""
    config = write_config(folder, folder, site={"timezone": zone})
    place = place_of(config)
    begin = datetime(day.year, day.month, day.day, tzinfo=timezone.utc) - timedelta(days=1)
    with Store(folder / "edge.db", outbox_bytes=10**7, history_bytes=10**9) as store:
        store._db.execute("PRAGMA synchronous = OFF")
        for number in range(3 * 48):
            at = begin + number * HALF_HOUR
            record_event(store, number, at + HALF_HOUR / 2, "great_tit")
            minute = EffortMinute(
                start_sample=number * 1800 * RATE_HZ,
                end_sample=(number + 1) * 1800 * RATE_HZ,
                sample_rate_hz=RATE_HZ,
                heard=1800 * RATE_HZ,
            )
            store.record_effort(minute, {"start_utc": rfc3339(at)}, stream="s", dating=SYNCED)
    return place


def day_at(place: Place, day: date) -> Day:
    with reading(place.store) as db:
        return day_of(db, day, place=place, now=NOW)


@pytest.mark.parametrize(("zone", "day", "length_h", "missing"), CHANGES)
def test_it_has_the_hours_between_two_midnights(
    tmp_path: Path, zone: str, day: date, length_h: float, missing: set[str]
) -> None:
    place = recorder(tmp_path, zone, day)
    found = day_at(place, day)
    assert (found.end - found.begin) == timedelta(hours=length_h)
    assert len(found.hours) == ceil(length_h)
    assert found.events == 2 * length_h
    # Each half hour counts once, in the hour in which it was.
    assert found.heard_s == pytest.approx(3600 * length_h, abs=1800)
    shown = [f"{hour.start:%H}" for hour in found.hours]
    assert {f"{hour:02}" for hour in range(24)} - set(shown) == missing
    assert {hour.start.date() for hour in found.hours} == {day}
    others = [hour.events for hour in found.hours[:-1]]
    assert set(others) == {2}
    assert 1000 / effort_strip(found).heard[0].width == pytest.approx(6 * length_h)


def test_its_page_and_its_file_have_all_of_it(tmp_path: Path) -> None:
    day = date(2026, 10, 25)
    place = recorder(tmp_path, "Europe/Vienna", day)
    client = create_app(place, access=Access(), now=lambda: NOW).test_client()
    text = client.get(f"/day/{day}", base_url="http://localhost").text
    assert "Heard 25.0 of 25 hours" in text
    assert "Events: 50" in text
    table = client.get(f"/day/{day}.csv", base_url="http://localhost", buffered=True).text
    local = [row["start_local"] for row in csv.DictReader(table.splitlines())]
    assert len(local) == 50
    assert {at[:10] for at in local} == {"2026-10-25"}
    assert len({at for at in local if at[11:13] == "02"}) == 4
