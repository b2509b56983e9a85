"""Recorder and broker are killed and frozen at random moments, and nothing is lost.

The recorder is killed with -9 twenty times.

Once its store and sink alone, under a stream far denser than any forest's, and once the whole
daemon with microphone and model.

A subscriber that keeps each event once, by id and state, has exactly what the recorder had stored.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.store.store import Store
from tests.e2e.conftest import Open
from tests.support.broker import Broker, Meter, Subscriber, until
from tests.support.bundles import SPEC, tiny_bundle
from tests.support.daemons import RealTimeAudio, running, write_config
from tests.support.killable import OUTBOX, STATES, Killable
from tests.support.store import event_id

pytestmark = pytest.mark.broker

DEATHS = 20
LABELS_OF_EVENTS = "SELECT id, state, json_extract(payload, '$.label') FROM detections"


def asked(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "edge.db")) as db:
        return db.execute(query).fetchall()


def all_events(count: int) -> set[tuple[str, str]]:
    return {(event_id(number), state) for number in range(count) for state in STATES}


def arrives_whole(database: Path, broker: Broker, subscriber: Subscriber, open_sink: Open) -> None:
    """Assert that after a last, undisturbed life everything stored has arrived.

    Each event has the same payload however often it came.
    """
    assert subscriber.counted()  # the lives were long enough to send something, too
    with Store(database, outbox_bytes=OUTBOX, history_bytes=OUTBOX) as store:
        assert store.quarantined is None
        meter = Meter()
        sink = open_sink(broker.port, kept=store, meter=meter)
        # The last life may have left nothing to send, and who never connected says no goodbye.
        assert until(lambda: meter.connected, 60)
        assert until(lambda: store.depth("mqtt") == (0, 0), 60)
        stored = {(d["id"], d["state"]): d for d in store.detections()}
        assert until(lambda: set(subscriber.counted()) >= set(stored), 60)
        sink.stop()
    assert set(subscriber.counted()) == set(stored)
    assert all(stored[d["id"], d["state"]] == d for d in subscriber.detections())


@contextmanager
def troubled(broker: Broker, subscriber: Subscriber, dice: random.Random) -> Iterator[list[str]]:
    """Kill and freeze the broker at random moments as long as the block lasts.

    Gives the list of what was done to it.
    """
    done: list[str] = []
    over = threading.Event()

    def trouble() -> None:
        while not over.wait(dice.uniform(0.1, 0.8)):
            # mosquitto writes what it owes an absent subscriber to disk only after it has
            # acknowledged it. With the subscriber there it has passed it on before, so that what
            # this finds is the recorder's. What a subscriber has not read yet is lost with a
            # connection that ends by a reset.
            if not until(lambda: subscriber.connected, 30):
                return
            if dice.random() < 0.5:
                broker.freeze()
                until(lambda: subscriber.drained, 30)
                broker.kill()
                over.wait(dice.uniform(0.0, 0.4))
                broker.start()
                done.append("killed")
            else:
                broker.freeze()
                over.wait(dice.uniform(0.1, 0.6))
                broker.thaw()
                done.append("frozen")

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def test_the_daemon_killed_twenty_times_loses_nothing_and_leaves_its_will(
    broker: Broker, tmp_path: Path, open_sink: Open
) -> None:
    dice, database = random.Random(3), tmp_path / "killed.db"
    with (
        Subscriber(broker.port) as subscriber,
        Killable("store", str(database), str(broker.port)) as recorder,
    ):
        for _ in range(DEATHS):
            with recorder.living():
                time.sleep(dice.uniform(0.0, 0.5))
        assert until(lambda: "offline" in subscriber.said("edge/r1/status"))
        arrives_whole(database, broker, subscriber, open_sink)
        assert recorder.stored > DEATHS
        assert set(subscriber.counted()) >= all_events(recorder.stored)
        assert until(lambda: subscriber.said("edge/r1/status")[-1] == "stopped")
        assert subscriber.said("edge/r1/status")[0] == "online"


def test_broker_and_daemon_killed_and_frozen_together_lose_nothing(
    broker: Broker, tmp_path: Path, open_sink: Open
) -> None:
    dice, database = random.Random(9), tmp_path / "killed.db"
    with (
        Subscriber(broker.port) as subscriber,
        Killable("store", str(database), str(broker.port)) as recorder,
    ):
        with troubled(broker, subscriber, random.Random(10)) as done:
            for _ in range(DEATHS):
                with recorder.living():
                    time.sleep(dice.uniform(0.05, 0.9))
        assert {"killed", "frozen"} <= set(done)
        assert recorder.stored > DEATHS
        arrives_whole(database, broker, subscriber, open_sink)
        assert set(subscriber.counted()) >= all_events(recorder.stored)


def test_the_whole_daemon_killed_with_the_broker_loses_nothing_it_stored(
    broker: Broker, tmp_path: Path
) -> None:
    dice = random.Random(5)
    mqtt = {"host": "127.0.0.1", "port": broker.port, "rate_per_s": 1000.0, "wait_for_sync_s": 0.0}
    # lives are short
    bundle = tiny_bundle(tmp_path / "bundle", spec=replace(SPEC, window_s=0.4)).path
    brief = {"cooldown_s": 0.2, "longest_s": 1.0, "update_s": 0.1}
    model = {"bundle": str(bundle), "hop_s": 0.1}
    config = write_config(tmp_path, bundle, mqtt=mqtt, tracker=brief, model=model)
    with Subscriber(broker.port) as subscriber:
        with (
            troubled(broker, subscriber, random.Random(6)) as done,
            Killable("daemon", str(config)) as recorder,
        ):
            for _ in range(DEATHS):
                with recorder.living():
                    time.sleep(dice.uniform(0.5, 2.9))
        assert {"killed", "frozen"} <= set(done)
        assert subscriber.counted("pond")  # the lives were long enough to send something
        with running(
            Daemon(
                config,
                audio=RealTimeAudio(np.zeros(SPEC.sample_rate_hz, np.float32)),
                deliveries=deliveries,
            )
        ):
            assert until(lambda: asked(tmp_path, "SELECT count(*) FROM outbox") == [(0,)], 60)
        stored = {(id_, state): label for id_, state, label in asked(tmp_path, LABELS_OF_EVENTS)}
        assert until(lambda: set(subscriber.counted("pond")) >= set(stored), 60)
    assert set(subscriber.counted("pond")) == set(stored)
    assert set(stored.values()) == {"low_hummer", "mid_whistler", "high_peeper", None}
    assert sum(state == "end" for _, state in stored) > DEATHS / 2
    # An event that was open at a death has no end, but no second beginning either: what begins is
    # counted once.
    assert {event for event, _ in stored} == {event for event, state in stored if state == "new"}
