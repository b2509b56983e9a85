"""The store on a full disk: an error that passes, and the ballast that makes room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import StoreError
from edge.store.ballast import Ballast
from edge.store.database import disk_is_full
from edge.store.store import Store
from tests.edge.store.stores import open_store
from tests.support.store import SYNCED, payload


def _record_all(store: Store, numbers: Iterator[int]) -> None:
    for number in numbers:
        store.record(payload(number), dating=SYNCED)


def test_a_full_disk_is_an_error_that_passes(path: Path) -> None:
    with open_store(path) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        numbers = iter(range(100))
        with pytest.raises(StoreError) as error:
            _record_all(store, numbers)
        assert disk_is_full(error.value.__cause__, path)
        failed = next(numbers) - 1
        assert store.depth("mqtt")[0] == len(list(store.detections())) == failed
        store._db.execute("PRAGMA max_page_count = 1000000").fetchone()
        assert store.record(payload(failed), dating=SYNCED)


def test_only_a_full_disk_is_one(path: Path) -> None:
    """Neither another error whose text says so, nor one that never came from SQLite."""
    path.parent.mkdir()
    with sqlite3.connect(path) as db, pytest.raises(sqlite3.OperationalError) as error:
        db.execute('SELECT * FROM "a table that is full"')
    db.close()
    assert not disk_is_full(error.value, path)
    assert not disk_is_full(OSError("the disk is full"), path)
    assert not disk_is_full(None, path)


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
    free[0] = 1_999_999  # it would take more than half of what is free
    assert not ballast.refill()
    free[0] = 2_000_000
    assert ballast.refill()
    assert open_ballast(1_000_000).whole
    # The configuration asks for less.
    assert open_ballast(500_000).held_bytes == path.stat().st_size == 500_000
    none = open_ballast(0)
    assert none.whole
    assert not none.release()
    assert not path.exists()
