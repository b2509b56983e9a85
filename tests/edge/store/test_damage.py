"""The store after damage: a sound file again, and nothing lost that was acknowledged."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.errors import StoreError
from tests.edge.store.stores import open_store, waiting
from tests.support.store import SYNCED, event_id, payload

ROOT = Path(__file__).resolve().parents[3]


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


def test_a_place_that_cannot_be_written_is_not_damage(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreError, match=r"folder\.db"):
        open_store(tmp_path / "folder.db")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.db"]


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
        # The kill may cut the last line short.
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
