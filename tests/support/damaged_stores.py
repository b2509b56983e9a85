"""Stores as a failing card leaves them, and whether they still deliver.

`python -m tests.support.damaged_stores 300` damages that many, each in its own way.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.store.dating import Dating
from edge.store.effort import EffortMinute
from edge.store.embedded import newest_embedded
from edge.store.store import Store
from tests.support.broker import unexpected, until
from tests.support.far_ends import quick_sink
from tests.support.hostile import Hostile, acknowledges
from tests.support.store import BOOT, SYNCED, UNSYNCED, health, payload

__all__ = ["Deliver", "damage_one", "emptied", "survive", "through_a_sink"]

PAGE = 4096
CLOCK = {"source": "system", "synced": False, "uncertainty_s": 9.0}
RIGHT = Dating(boot_id=BOOT, offset_us=3_600_000_000, synced=True, uncertainty_s=0.02)
Deliver = Callable[[Store], None]  # empties the outbox "mqtt" of a store, as far as it can
Change = Callable[[bytearray, bytes, random.Random], None]


def open_store(path: Path) -> Store:
    return Store(path, outbox_bytes=10**7, history_bytes=10**7)


def fill(path: Path, *, first: int, count: int) -> None:
    """Store detections, minutes and health; a third is sent, a third waits for the clock."""
    vector = np.arange(64, dtype=np.float32)
    with open_store(path) as store:
        for number in range(first, first + count):
            synced = number % 3 > 0
            dating = SYNCED if synced else UNSYNCED
            store.record(payload(number, synced=synced), dating=dating, embedding=vector)
            minute = EffortMinute(
                start_sample=number * 60, end_sample=number * 60 + 60, sample_rate_hz=1, heard=60
            )
            sent = {"start_utc": "2024-05-01T05:30:00.000000Z", "clock": CLOCK}
            store.record_effort(minute, sent, stream="s", dating=dating)
        store.record_health(health(), dating=SYNCED)
        store.done("mqtt", store.pending("mqtt", limit=2 * count // 3))


def flip_bits(content: bytearray, before: bytes, dice: random.Random) -> None:
    for _ in range(dice.randint(1, 4)):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def flip_in_a_row(content: bytearray, before: bytes, dice: random.Random) -> None:
    """Damage a row that waits: its payload or, just before, what the row says of itself."""
    places = [i for i in range(len(content)) if content.startswith(b'{"schema_version"', i)]
    place = dice.choice(places) + dice.randint(-90, 900)
    content[min(place, len(content) - 1)] ^= 1 << dice.randrange(8)


def older_page(content: bytearray, before: bytes, dice: random.Random) -> None:
    """Leave a page as it was some time ago: indexes and rows no longer agree."""
    start = dice.randrange(0, min(len(before), len(content)), PAGE)
    content[start : start + PAGE] = before[start : start + PAGE]


def lost_page(content: bytearray, before: bytes, dice: random.Random) -> None:
    start = dice.randrange(0, len(content), PAGE)
    content[start : start + PAGE] = bytes(PAGE) if dice.random() < 0.5 else dice.randbytes(PAGE)


def misplaced_page(content: bytearray, before: bytes, dice: random.Random) -> None:
    pages = len(content) // PAGE
    to, source = dice.randrange(pages) * PAGE, dice.randrange(pages) * PAGE
    content[to : to + PAGE] = content[source : source + PAGE]


def cut(content: bytearray, before: bytes, dice: random.Random) -> None:
    del content[dice.randrange(len(content)) :]


def half_a_page(content: bytearray, before: bytes, dice: random.Random) -> None:
    start = dice.randrange(0, len(content), PAGE) + dice.randrange(0, PAGE, 512)
    content[start : start + 512] = bytes(512)


CHANGES: tuple[Change, ...] = (
    flip_bits,
    flip_in_a_row,
    flip_in_a_row,
    older_page,
    older_page,
    lost_page,
    misplaced_page,
    cut,
    half_a_page,
)
# Cells of the tables, by what damage has made of them.
CELLS = (
    "UPDATE outbox SET {column} = {value} WHERE seq = (SELECT {which}(seq) FROM outbox)",
    "UPDATE outbox SET {column} = {value}",
    *(
        f"UPDATE {table} SET {{column}} = {{value}}"
        f" WHERE number = (SELECT {{which}}(number) FROM {table})"
        for table in ("detections", "effort")
    ),
    "UPDATE outbox_size SET bytes = {value}",
    "UPDATE outbox_dropped SET rows = {value}",
    "UPDATE history SET next = {value}",
    "UPDATE history SET bytes = {value}",
    "UPDATE sqlite_sequence SET seq = {value}",
    *(f"UPDATE embeddings SET {name} = {{value}}" for name in ("vector", "network", "scale")),
    "DELETE FROM outbox_size",
    "DELETE FROM history",
)
COLUMNS = ("payload", "kind", "key", "boot_id", "offset_us", "stored_us", "run", "sink", "bytes")
VALUES = ("x'ff00'", "CAST(x'7bff7d' AS TEXT)", "''", "-7", "1e300", "9223372036854775807", "'[]'",
          "'{{}}'", "0", "'NaN'", "printf('%.100000c', '[')")  # fmt: skip


def wrong_cells(path: Path, dice: random.Random) -> None:
    """Change a cell to something that SQLite itself takes: no check of the file finds it."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        statement = dice.choice(CELLS).format(
            column=dice.choice(COLUMNS),
            value=dice.choice(VALUES),
            which=dice.choice(("min", "max")),
        )
        with contextlib.suppress(sqlite3.Error):  # no such column, or one that must be unique
            db.execute(statement)
        db.commit()


def damage_one(path: Path, dice: random.Random) -> str:
    """Make a store at `path` and damage it; return how."""
    fill(path, first=0, count=20)
    before = path.read_bytes()
    fill(path, first=20, count=25)
    change = dice.choice((*CHANGES, None, None))
    if change is None:
        wrong_cells(path, dice)
        return "wrong_cells"
    content = bytearray(path.read_bytes())
    change(content, before, dice)
    path.write_bytes(content)
    return change.__name__


def emptied(store: Store) -> None:
    """Do with the outbox what a sink does with a broker that takes everything."""
    for _ in range(1000):
        rows = store.pending("mqtt", limit=20)
        if not rows:
            return
        for row in rows:
            row.payload.encode()
        assert store.done("mqtt", rows) == 0, "a row that was acknowledged stays"
    raise AssertionError("the outbox does not get empty")


def through_a_sink(port: int) -> Deliver:
    """Return a delivery by the recorder's own sink, to a broker on that port."""

    def deliver(store: Store) -> None:
        # A row whose start of the machine is damaged is not dated anew, and waits for that time.
        sink = quick_sink(port, store, unexpected, wait_for_sync_s=0.0)
        sink.start()
        try:
            assert until(lambda: store.depth("mqtt")[0] == 0, 10.0), "rows are stuck"
        finally:
            sink.stop(0.5)

    return deliver


def survive(path: Path, deliver: Deliver = emptied) -> bool:
    """Use a damaged store as a recorder does; return False where it was set aside at opening.

    Raises AssertionError, or what else stops it, where it is used and does not deliver.
    """
    with open_store(path) as store:
        if store.quarantined is not None:
            return False
        list(store.detections())
        store.change(lambda db, history: newest_embedded(db, unknown=10, known=10))
        store.redate(RIGHT)
        deliver(store)
        assert store.depth("mqtt") == (0, 0)
        fresh = [payload(number, state="new") for number in range(1000, 1005)]
        for number, content in enumerate(fresh):
            assert store.record(content, dating=SYNCED)
            store.record_health(health(), dating=SYNCED)
            minute = EffortMinute(
                start_sample=10**6 + number, end_sample=10**7, sample_rate_hz=1, heard=9
            )
            store.record_effort(
                minute, {"start_utc": "", "clock": CLOCK}, stream="t", dating=SYNCED
            )
        waiting = [row.key for row in store.pending("mqtt", limit=100) if row.kind == "detection"]
        assert waiting == [f"{content['id']}/new" for content in fresh]
        deliver(store)
        assert store.depth("mqtt") == (0, 0)
        assert [p for p in store.detections() if p.get("state") == "new"] == fresh
        assert sum(store.dropped("mqtt").values()) == 0
    return True


def main(count: int) -> None:
    logging.disable()
    outcomes: Counter[str] = Counter()
    with Hostile(acknowledges) as broker:
        for seed in range(count):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "edge.db"
                how = damage_one(path, random.Random(seed))
                try:
                    used = survive(path, through_a_sink(broker.port))
                    outcome = "delivers" if used else "set aside"
                except Exception as exc:
                    outcome = "stuck"
                    print(f"seed {seed}, {how}: {type(exc).__name__} {exc}")
            outcomes[outcome] += 1
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]))
