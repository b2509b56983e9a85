"""What is found in a store: each ended event once, whatever becomes of store, clock and program."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.clock import rfc3339
from edge.errors import StoreError
from edge.notify.notebook import Notebook, opened
from edge.notify.rules import Names
from edge.notify.watching import Watcher
from edge.rate_limited_log import RateLimitedLog
from edge.store.effort import EffortMinute
from tests.support.store import SYNCED
from tests.support.telling import place_at, quiet_store, record, watch_of

NOW = datetime(2026, 5, 3, 12, tzinfo=timezone.utc)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
OWL, WREN, TIT = "little_owl", "eurasian_wren", "great_tit"
RATE_HZ = 22_050


class Looking:
    """A watcher over the store in a folder."""

    def __init__(self, folder: Path, book: Notebook, **notify: Any) -> None:
        self.folder, self.book = folder, book
        self.place = place_at(folder, **notify)
        self.restart()

    def restart(self) -> None:
        warn = RateLimitedLog(logging.getLogger("edge.notify.test"))
        watch = watch_of(self.place, species=Names(labels=frozenset({OWL})))
        self._watcher = Watcher(watch, self.book, warn=warn)

    def look(self, now: datetime) -> list[str]:
        """Look once; return the titles of what is new."""
        known = len(self.titles())
        self._watcher.look(now)
        return self.titles()[known:]

    def titles(self) -> list[str]:
        return [row[0] for row in self.book.db.execute("SELECT title FROM messages")]


@contextmanager
def looking(folder: Path, **notify: Any) -> Iterator[Looking]:
    folder.mkdir(exist_ok=True)
    with opened(folder / "book.db") as book:
        book.db.execute("PRAGMA synchronous = OFF")
        yield Looking(folder, book, **notify)


def first(name: str) -> str:
    return f"{name}: first ever at Mill pond"


def test_the_first_start_tells_of_nothing_from_before(tmp_path: Path) -> None:
    with looking(tmp_path) as here:
        record(tmp_path, [(NOW - HOUR, WREN, 0.99), (NOW - 30 * HOUR, TIT, 0.99)])
        assert here.look(NOW) == []
        record(
            tmp_path,
            [(NOW + MINUTE, WREN, 0.99), (NOW + MINUTE, TIT, 0.99), (NOW + MINUTE, OWL, 0.99)],
            first=5,
        )
        assert here.look(NOW + 2 * MINUTE) == [first("Little Owl")]
        assert here.look(NOW + 3 * MINUTE) == []


def test_a_fresh_store_and_one_whose_rows_have_gone_make_nothing_new(tmp_path: Path) -> None:
    with looking(tmp_path) as here:
        here.look(NOW)
        record(tmp_path, [(NOW + MINUTE, WREN, 0.99)])
        assert here.look(NOW + 2 * MINUTE) == [first("Eurasian Wren")]
        for file in tmp_path.glob("edge.db*"):
            file.unlink()
        with closing(quiet_store(tmp_path)):
            pass
        record(tmp_path, [(NOW + 90 * MINUTE, WREN, 0.99), (NOW + 91 * MINUTE, TIT, 0.99)])
        assert here.look(NOW + 92 * MINUTE) == [first("Great Tit")]


def test_what_ended_while_it_was_down_is_told_within_six_hours(tmp_path: Path) -> None:
    with looking(tmp_path) as here:
        here.look(NOW)
        here.restart()
        record(tmp_path, [(NOW + HOUR, WREN, 0.99), (NOW + 6 * HOUR, TIT, 0.99)])
        assert here.look(NOW + 8 * HOUR) == [first("Great Tit")]
        record(tmp_path, [(NOW + 9 * HOUR, WREN, 0.99)], first=7)
        assert here.look(NOW + 9 * HOUR + MINUTE) == []  # it is known by now


@pytest.mark.parametrize("to", [timedelta(days=900), timedelta(days=-900)])
def test_a_clock_that_jumps_makes_no_storm(tmp_path: Path, to: timedelta) -> None:
    with looking(tmp_path) as here:
        labels = [WREN, TIT, OWL]
        record(tmp_path, [(NOW - (20 - n) * HOUR, labels[n % 3], 0.99) for n in range(18)])
        here.look(NOW)
        assert here.look(NOW + to) == []
        assert here.look(NOW + MINUTE) == []
        record(tmp_path, [(NOW + 2 * MINUTE, "american_toad", 0.99)], first=50)
        assert here.look(NOW + 3 * MINUTE) == [first("American Toad")]


def test_a_first_start_by_a_clock_that_was_not_set_tells_of_nothing_from_before(
    tmp_path: Path,
) -> None:
    with looking(tmp_path) as here:
        record(tmp_path, [(NOW - 9 * HOUR, WREN, 0.99), (NOW - 9 * HOUR, TIT, 0.99)])
        assert here.look(datetime(1970, 1, 1, 0, 5, tzinfo=timezone.utc)) == []
        record(tmp_path, [(NOW, WREN, 0.99)], first=9)
        assert here.look(NOW + MINUTE) == []


def test_an_event_is_told_when_it_has_ended_and_has_its_date(tmp_path: Path) -> None:
    unset = {"source": "system", "synced": False, "uncertainty_s": 16.0}
    with looking(tmp_path) as here:
        here.look(NOW)
        record(tmp_path, [(NOW + MINUTE, WREN, 0.99)], clock=unset)
        with closing(sqlite3.connect(tmp_path / "edge.db")) as db:
            rows = "DELETE FROM detections WHERE state = 'end'"
            ended = db.execute("SELECT payload FROM detections WHERE state = 'end'").fetchone()[0]
            db.execute(rows)
            db.commit()
        assert here.look(NOW + 2 * MINUTE) == []
        assert '"end"' in ended
        record(tmp_path, [(NOW + 3 * MINUTE, WREN, 0.99)], first=1, clock=unset)
        assert here.look(NOW + 3.5 * MINUTE) == []
        assert here.look(NOW + 4.5 * MINUTE) == [first("Eurasian Wren")]


def test_a_store_that_cannot_be_read_is_told_in_the_log_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with looking(tmp_path) as here:
        here.look(NOW)
        with closing(sqlite3.connect(tmp_path / "edge.db")) as db:
            db.execute("PRAGMA user_version = 99")
        assert here.look(NOW + MINUTE) == []
        assert "is a store of version 99" in caplog.text
        (tmp_path / "edge.db").write_bytes(b"no database")
        assert here.look(NOW + 2 * MINUTE) == []


def minutes(folder: Path, begin: datetime, *fates: str) -> None:
    """Enter minutes into the ledger, each heard or lost."""
    with quiet_store(folder) as store:
        for number, fate in enumerate(fates):
            at = begin + number * MINUTE
            start = round((at - NOW).total_seconds()) * RATE_HZ
            minute = EffortMinute(
                start_sample=start,
                end_sample=start + 60 * RATE_HZ,
                sample_rate_hz=RATE_HZ,
                heard=60 * RATE_HZ if fate == "heard" else 0,
                lost=60 * RATE_HZ if fate == "lost" else 0,
            )
            store.record_effort(minute, {"start_utc": rfc3339(at)}, stream="s", dating=SYNCED)


def course(here: Looking, begin: datetime, fates: str) -> list[str]:
    """Live through minutes: h is heard, l lost, . without any entry; return what is told."""
    told = []
    for number, fate in enumerate(fates):
        at = begin + number * MINUTE
        if fate != ".":
            minutes(here.folder, at, {"h": "heard", "l": "lost"}[fate])
        for second in range(5, 60, 10):
            told += here.look(at + MINUTE + timedelta(seconds=second - 40))
    return told


GONE = "Mill pond: no sound from the microphone"
BACK = "Mill pond: the microphone gives sound again"
SILENT = "Mill pond: the recorder does not listen"
AGAIN = "Mill pond: the recorder listens again"


@pytest.mark.parametrize(
    ("fates", "told"),
    [
        ("h" * 10, []),
        ("hhh" + "l" * 20, [GONE]),
        ("hhh" + "l" * 20 + "h" * 20, [GONE, BACK]),
        ("hhh" + "lll" + "h" * 10, []),
        ("hl" * 30, []),
        ("lllh" * 30, [GONE]),
        ("hhh" + "l" * 12 + "h" * 12 + "l" * 12 + "h" * 12, [GONE, BACK]),
        ("hhh" + "." * 12, [SILENT]),
        ("hhh" + "." * 12 + "h" * 12, [SILENT, AGAIN]),
    ],
)
def test_a_fault_is_told_once_when_it_begins_and_once_when_it_is_over(
    tmp_path: Path, fates: str, told: list[str]
) -> None:
    with looking(tmp_path, disk_free_mb=0.0) as here:
        assert course(here, NOW, fates) == told


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with looking(tmp_path, disk_free_mb=9_999_999.0) as here:
        assert course(here, NOW, "h" * 8) == ["Mill pond: the disk is nearly full"]
        here.restart()
        assert course(here, NOW + HOUR, "h" * 8) == []


def test_what_cannot_be_noted_is_told_later_and_once(tmp_path: Path) -> None:
    with looking(tmp_path) as here:
        here.look(NOW)
        record(tmp_path, [(NOW + MINUTE, WREN, 0.99)])
        here.book.db.execute("PRAGMA query_only = ON")  # as a disk that takes nothing
        for _ in range(2):
            with pytest.raises(StoreError, match="what was told cannot be noted"):
                here.look(NOW + 2 * MINUTE)
        here.book.db.execute("PRAGMA query_only = OFF")
        assert here.look(NOW + 3 * MINUTE) == [first("Eurasian Wren")]
        assert here.look(NOW + 4 * MINUTE) == []
