"""The end of the ledger: what a kill costs of it, and from where the next stream goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edge.store.effort import EffortMinute
from edge.store.ledger import LedgerEnd, find_end, note_minute
from edge.store.store import Dating
from tests.edge.store.stores import open_store, waiting
from tests.support.store import SYNCED

BEGAN = "2024-05-01T05:30:00.000000Z"
BEGAN_US = 1_714_541_400_000_000


def minute(seconds: int, start_s: int = 0) -> EffortMinute:
    return EffortMinute(
        start_sample=1000 * start_s,
        end_sample=1000 * (start_s + seconds),
        sample_rate_hz=1000,
        heard=1000 * seconds,
    )


def test_the_open_minute_is_in_the_ledger_once_and_not_sent(path: Path) -> None:
    with open_store(path) as store:
        for seconds in (5, 10, 15):
            note_minute(store, minute(seconds), start_utc=BEGAN, stream="s", dating=SYNCED)
        assert store._db.execute("SELECT heard_s FROM effort").fetchall() == [(15.0,)]
        assert not waiting(store)
    with open_store(path) as store:
        end, last = find_end(store)
        assert end is not None
        assert end.end_us == BEGAN_US + 15_000_000
        assert last is not None
        assert (last.stream, last.minute) == ("s", minute(15))
        assert last.dating == SYNCED


def test_a_minute_that_is_over_takes_the_place_of_its_note(path: Path) -> None:
    with open_store(path) as store:
        note_minute(store, minute(55), start_utc=BEGAN, stream="s", dating=SYNCED)
        note_minute(store, minute(7), start_utc=BEGAN, stream="s2", dating=SYNCED)
        store.record_effort(minute(60), {"start_utc": BEGAN}, stream="s", dating=SYNCED)
        found = store._db.execute("SELECT heard_s FROM effort ORDER BY number").fetchall()
        assert found == [(7.0,), (60.0,)]
        assert len(waiting(store)) == 1
        end, last = find_end(store)
        assert end is not None
        assert (end.end_us, last) == (BEGAN_US + 60_000_000, None)


def test_an_open_minute_knows_where_in_the_stream_it_begins(path: Path) -> None:
    with open_store(path) as store:
        note_minute(store, minute(5, 120), start_utc=BEGAN, stream="s", dating=SYNCED)
        _, last = find_end(store)
    assert last is not None
    assert last.minute == minute(5, 120)
    assert last.clock.utc(120_000).isoformat() == "2024-05-01T05:30:00+00:00"


def test_a_fresh_store_has_no_end(path: Path) -> None:
    with open_store(path) as store:
        assert find_end(store) == (None, None)


def test_damage_is_no_end(path: Path) -> None:
    with open_store(path) as store:
        note_minute(store, minute(5), start_utc=BEGAN, stream="s", dating=SYNCED)
        store._db.execute("UPDATE effort SET start_utc = 'nonsense'")
        assert find_end(store) == (None, None)


def dated(*, boot: str = "b", offset_us: int = 0, synced: bool = True) -> Dating:
    return Dating(boot_id=boot, offset_us=offset_us, synced=synced, uncertainty_s=0.1)


@pytest.mark.parametrize(
    ("dating", "now_us", "missing_us"),
    [
        (dated(), 500, 400),
        (dated(offset_us=10**12), 10**12 + 500, 400),  # the clock was set in between
        (dated(synced=False), 500, 400),  # within one start of the machine it need not be set
        (dated(boot="c", offset_us=77), 500, 400),
        (dated(boot="c", synced=False), 500, None),
    ],
)
def test_how_long_nothing_is_known(dating: Dating, now_us: int, missing_us: int | None) -> None:
    end = LedgerEnd(end_us=100, boot_id="b", offset_us=0, synced=True)
    assert end.until_us(now_us, dating) == missing_us
    unset = dataclasses.replace(end, synced=False)
    assert unset.until_us(now_us, dating) == (missing_us if dating.boot_id == "b" else None)
