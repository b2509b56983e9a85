"""A disk that something else fills while the recorder runs: it costs clips, and no detection."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.errors import StoreError
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.store.store import Store
from tests.support.audio import soundscape
from tests.support.broker import Broker, Subscriber
from tests.support.bundles import tiny_bundle
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.disk import fill, small_disk
from tests.support.store import SYNCED, event_id, payload

pytestmark = pytest.mark.mount

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", megabytes=24) as disk:
        yield disk


def a_daemon(
    folder: Path, bundle: Bundle, disk: Path, broker: Broker, *, ballast_mb: float
) -> Daemon:
    """Return a daemon with store and clips on `disk`, which has an event every second or so."""
    config = write_config(
        folder,
        bundle.path,
        tracker={"cooldown_s": 0.5, "longest_s": 1.5, "update_s": 0.5},
        store={"path": str(disk / "edge.db"), "ballast_mb": ballast_mb},
        clips={"folder": str(disk / "clips"), "reserve_mb": 1.0, "format": "wav"},
        mqtt={
            "enabled": True,
            "host": "127.0.0.1",
            "port": broker.port,
            "rate_per_s": 1000.0,
            "wait_for_sync_s": 0.0,
        },
    )
    return Daemon(config, audio=RealTimeAudio(soundscape()), deliveries=deliveries)


def free(disk: Path) -> int:
    return shutil.disk_usage(disk).free


def counted(daemon: Daemon, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for metric in daemon._metrics.registry.collect()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def ended(subscriber: Subscriber) -> dict[str, str | None]:
    """The clips of the events that have ended, by id."""
    return {d["id"]: d["clip"] for d in subscriber.detections("pond") if d["state"] == "end"}


def reopened(disk: Path) -> set[tuple[str, str]]:
    """What the store holds, which is whole, and has nothing left to send."""
    with Store(disk / "edge.db", outbox_bytes=10**8, history_bytes=10**8) as store:
        assert store.quarantined is None
        kept = [(d["id"], d["state"]) for d in store.detections()]
        assert store.depth("mqtt")[0] == 0
    assert len(kept) == len(set(kept))
    with contextlib.closing(sqlite3.connect(disk / "edge.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return set(kept)


@pytest.mark.broker
def test_a_full_disk_costs_clips_and_no_detection(
    tmp_path: Path, bundle: Bundle, disk: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = a_daemon(tmp_path, bundle, disk, broker, ballast_mb=4.0)
    with Subscriber(broker.port) as subscriber, caplog.at_level(logging.INFO):
        with running(daemon):
            until(lambda: len([clip for clip in ended(subscriber).values() if clip]) >= 2, 60)
            neighbour = fill(disk)
            before, stored = (
                set(subscriber.counted("pond")),
                counted(daemon, "edge_detections_total"),
            )

            def goes_on() -> bool:
                fill(disk)  # it takes whatever anyone gives up
                return len([id for id, clip in ended(subscriber).items() if clip is None]) >= 6

            until(goes_on, 60)
            assert free(disk) < 100_000
            assert counted(daemon, "edge_clips_total", outcome="refused") >= 6
            assert counted(daemon, "edge_detections_total") >= stored + 5
            assert counted(daemon, "edge_store_errors_total") == 0
            assert "of the ballast are left" in caplog.text
            assert (disk / "edge.db-wal").stat().st_size < 8_000_000
            neighbour.unlink()
            during = len(ended(subscriber))
            until(lambda: any(list(ended(subscriber).values())[during:]), 60)
            until(lambda: (disk / "edge.db-ballast").stat().st_size == 4_000_000, 60)
        until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"], 60)
        sent = subscriber.counted("pond")
        assert set(sent) == reopened(disk)
        assert before < set(sent)
        assert {sent[key] for key in sent if key[1] != "update"} == {1}
        assert {id for id, state in sent if state == "new"} == set(ended(subscriber))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.broker
def test_without_ballast_detections_wait_in_memory_for_room(
    tmp_path: Path, bundle: Bundle, disk: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = a_daemon(tmp_path, bundle, disk, broker, ballast_mb=0.0)
    with Subscriber(broker.port) as subscriber, caplog.at_level(logging.INFO):
        with running(daemon):
            until(lambda: len(ended(subscriber)) >= 1, 60)
            neighbour = fill(disk)
            until(lambda: len(daemon._running.current.keeper.backlog.detections) >= 8, 60)
            waiting = {
                (w.event.id, w.event.state)
                for w in list(daemon._running.current.keeper.backlog.detections)
            }
            assert not waiting & set(subscriber.counted("pond"))
            assert counted(daemon, "edge_store_errors_total") > 0
            neighbour.unlink()
            until(lambda: waiting <= set(subscriber.counted("pond")), 60)
        until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"], 60)
        sent = subscriber.counted("pond")
        assert set(sent) == reopened(disk)
        assert {sent[key] for key in sent if key[1] != "update"} == {1}
        assert {id for id, state in sent if state == "new"} == set(ended(subscriber))
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_store_opens_on_a_disk_that_was_filled_while_it_was_closed(disk: Path) -> None:
    def open_store() -> Store:
        return Store(disk / "edge.db", outbox_bytes=10**8, history_bytes=10**8, ballast_bytes=10**6)

    with open_store() as store:
        store.record(payload(1), dating=SYNCED)
    fill(disk)
    with open_store() as store:
        assert store.quarantined is None
        assert store.record(payload(2), dating=SYNCED)
        assert [d["id"] for d in store.detections()] == [event_id(1), event_id(2)]
    (disk / "edge.db-ballast").unlink()
    fill(disk)
    with pytest.raises(StoreError, match=r"edge\.db: "):
        open_store()
    (disk / "neighbour").unlink()
    with open_store() as store:
        assert store.quarantined is None
        assert [d["id"] for d in store.detections()] == [event_id(1), event_id(2)]


WRITER = """
import sys, time
from pathlib import Path
from edge.errors import StoreError
from edge.store.store import Store
from tests.support.store import SYNCED, payload
bounds = {"outbox_bytes": 10**9, "history_bytes": 10**9, "ballast_bytes": 400_000}
with Store(Path(sys.argv[1]), **bounds) as store:
    for number in range(int(sys.argv[2]), 10**6):
        for state in ("new", "end"):
            while True:
                try:
                    store.record(payload(number, state=state), dating=SYNCED)
                    break
                except StoreError:
                    print("full", flush=True)
                    time.sleep(0.01)
            print(number, state, flush=True)
"""


def test_killed_on_a_full_disk_the_store_opens_again_with_all_it_acknowledged(disk: Path) -> None:
    dice, path = random.Random(7), disk / "edge.db"
    said: set[tuple[str, str]] = set()
    first = refusals = 0
    for turn in range(6):
        command = [sys.executable, "-c", WRITER, str(path), str(first)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stderr is not None
            lines = [writer.stdout.readline()]
            neighbour = fill(disk)
            if turn % 2:  # the ballast is spent, and nothing can be written
                lines += iter(writer.stdout.readline, "full\n")
                lines.append("full")
            time.sleep(dice.uniform(0.0, 0.2))
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.read().splitlines()
            assert "Error" not in writer.stderr.read()
        refusals += "full" in lines
        pairs = [line.split() for line in lines if line.count(" ") == 1]
        said |= {
            (event_id(int(number)), state)
            for number, state in pairs
            if state.strip() in ("new", "end")
        }
        first = max([first, *(int(number) for number, _ in pairs)])
        if turn % 2:
            neighbour.unlink()  # there is room for once; else it opens on the disk that is full
    with Store(path, outbox_bytes=10**9, history_bytes=10**9, ballast_bytes=10**6) as store:
        assert store.quarantined is None
        assert store._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        # Of what was sent a full disk may cost the history; here nothing was sent.
        kept = [
            (d["id"], d["state"])
            for d in (json.loads(row.payload) for row in store.pending("mqtt", limit=10**6))
        ]
    assert said <= set(kept)
    assert len(kept) == len(set(kept))
    assert len(said) > 20
    assert refusals >= 3
    assert not list(disk.glob("*.damaged-*"))
