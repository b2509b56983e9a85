"""A store that cannot be used: the recorder hears, counts and sends from memory, and goes back."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.backoff import Backoff
from edge.bundle import Bundle
from edge.clock import rfc3339
from edge.recorder.backlog import Backlog
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.recorder.live_clock import LiveClock
from edge.store.effort import EffortMinute
from edge.store.ledger import note_minute
from edge.store.store import Store
from tests.edge.recorder.test_daemon import rows
from tests.edge.store.stores import open_store
from tests.support.broker import Broker, Subscriber
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.disk import fill, small_disk
from tests.support.lives import BRIEF, calls
from tests.support.store import SYNCED, payload

MINUTE = EffortMinute(start_sample=0, end_sample=10_000, sample_rate_hz=1000, heard=10_000)

pytestmark = [pytest.mark.mount, pytest.mark.broker]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=24) as disk:
        yield disk


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker", mortal=False) as broker:
        yield broker


def mounted(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def a_daemon(folder: Path, bundle: Bundle, disk: Path, broker: Broker) -> Daemon:
    """Return a recorder that is as impatient with its store as a test."""
    config = write_config(
        folder,
        bundle.path,
        tracker=BRIEF,
        store={"path": str(disk / "edge.db"), "ballast_mb": 0.0},
        clips={"enabled": False},
        mqtt={"host": "127.0.0.1", "port": broker.port, "wait_for_sync_s": 0.0},
    )
    return Daemon(
        config,
        audio=RealTimeAudio(calls()),
        deliveries=deliveries,
        backlog=Backlog(patience_s=1.0, file_backoff=Backoff(first_s=0.2, longest_s=0.5)),
    )


def value(daemon: Daemon, name: str) -> float | None:
    return daemon._metrics.registry.get_sample_value(name)


def ends(subscriber: Subscriber) -> int:
    return sum(d["state"] == "end" for d in subscriber.detections("pond"))


def test_a_read_only_disk_at_the_start_costs_no_message(
    tmp_path: Path, bundle: Bundle, disk: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(disk / "edge.db") as store:  # a recorder that was killed a minute ago
        dating, noted = LiveClock().dating(), datetime.now(timezone.utc) - timedelta(seconds=60)
        note_minute(store, MINUTE, start_utc=rfc3339(noted), stream="killed", dating=dating)
    mounted(disk, "ro")
    daemon = a_daemon(tmp_path, bundle, disk, broker)
    with Subscriber(broker.port) as subscriber, caplog.at_level(logging.INFO):
        with running(daemon):
            until(lambda: ends(subscriber) >= 2, 60)
            assert value(daemon, "edge_store_in_memory") == 1
            assert "going on in memory" in caplog.text
            mounted(disk, "rw")
            until(lambda: value(daemon, "edge_store_in_memory") == 0, 60)
            before = ends(subscriber)
            until(lambda: ends(subscriber) >= before + 2, 60)
        until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"], 60)
        came = set(subscriber.counted("pond"))
    with open_store(disk / "edge.db") as store:
        kept = {(p["id"], p["state"]) for p in store.detections()}
        assert store.depth("mqtt")[0] == 0
    assert kept == came
    assert {id for id, _ in kept} == {id for id, state in kept if state == "end"}
    ledger = rows(
        disk,
        "SELECT (end_sample - start_sample) * 1.0 / sample_rate_hz, "
        "julianday(start_utc) * 86400, heard_s + lost_s + gated_s + dropped_s, key FROM effort "
        "ORDER BY start_utc",
    )
    lengths, starts, known = ([float(str(row[i])) for row in ledger] for i in range(3))
    until_s = [start + length for start, length in zip(starts, lengths, strict=True)]
    assert starts[1:] == pytest.approx(until_s[:-1], abs=0.02)  # nothing is missing in between
    assert lengths[0] == known[0] == 10.0
    assert lengths[1] > 50.0
    assert known[1] == 0.0
    assert not [row for row in ledger if "/open/" in str(row[3])]


def test_a_disk_that_takes_nothing_while_it_runs_costs_no_message(
    tmp_path: Path, bundle: Bundle, disk: Path, broker: Broker
) -> None:
    daemon = a_daemon(tmp_path, bundle, disk, broker)
    with Subscriber(broker.port) as subscriber:
        with running(daemon):
            until(lambda: ends(subscriber) >= 1, 60)
            neighbour = fill(disk)
            until(lambda: value(daemon, "edge_store_in_memory") == 1, 60)
            before = ends(subscriber)
            until(lambda: ends(subscriber) >= before + 2, 60)
            neighbour.unlink()
            until(lambda: value(daemon, "edge_store_in_memory") == 0, 60)
        until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"], 60)
        came = set(subscriber.counted("pond"))
    with open_store(disk / "edge.db") as store:
        kept = {(p["id"], p["state"]) for p in store.detections()}
        assert not [p for p in store.detections() if "interrupted" in p]  # it never was
    assert {key for key in kept if key[1] != "update"} == {
        key for key in came if key[1] != "update"
    }
    assert {id for id, _ in kept} == {id for id, state in kept if state == "end"}


@pytest.mark.parametrize(("byte", "value"), [(18, 9), (19, 9), (47, 9), (16, 3), (0, 0)])
def test_a_bad_first_page_is_set_aside_where_the_disk_is_sound(
    tmp_path: Path, bundle: Bundle, disk: Path, broker: Broker, byte: int, value: int
) -> None:
    with open_store(disk / "edge.db") as store:
        store.record(payload(1), dating=SYNCED)
    content = bytearray((disk / "edge.db").read_bytes())
    content[byte] = value
    (disk / "edge.db").write_bytes(content)
    daemon = a_daemon(tmp_path, bundle, disk, broker)
    with running(daemon):
        until(lambda: list(disk.glob("edge.db.damaged-*")), 60)
        until(lambda: rows(disk, "SELECT state FROM detections WHERE state = 'new'"), 60)
        assert not daemon._place.in_memory
    assert len(list(disk.glob("edge.db.damaged-*"))) == 1


def test_a_store_of_a_newer_program_is_left_alone(
    tmp_path: Path, bundle: Bundle, disk: Path, broker: Broker
) -> None:
    with Store(disk / "edge.db", outbox_bytes=10**6, history_bytes=10**6) as store:
        store._db.execute("PRAGMA user_version = 99")
    before = (disk / "edge.db").read_bytes()
    daemon = a_daemon(tmp_path, bundle, disk, broker)
    with Subscriber(broker.port) as subscriber, running(daemon):
        until(lambda: ends(subscriber) >= 1, 60)
        assert daemon._place.in_memory
    assert (disk / "edge.db").read_bytes() == before
