"""The recorder killed with -9 twenty times at random moments, and the broker killed and frozen under it: nothing is lost.

A subscriber that keeps each event once, by id and state, has exactly what the recorder had stored.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.store import Store
from tests.e2e.conftest import Open
from tests.support.broker import Broker, Subscriber, until
from tests.support.killable import OUTBOX, STATES, Killable
from tests.support.store import event_id

pytestmark = pytest.mark.broker

DEATHS = 20


def all_events(count: int) -> set[tuple[str, str]]:
    return {(event_id(number), state) for number in range(count) for state in STATES}


def arrives_whole(database: Path, broker: Broker, subscriber: Subscriber, open_sink: Open) -> None:
    """After a last, peaceful life everything stored is there: each event's payload the same however often it came."""
    assert subscriber.counted()  # the lives were long enough to send something, too
    with Store(database, outbox_bytes=OUTBOX, history_bytes=OUTBOX) as store:
        assert store.quarantined is None
        sink = open_sink(broker.port, kept=store)
        assert until(lambda: store.depth("mqtt") == (0, 0), 60)
        stored = {(d["id"], d["state"]): d for d in store.detections()}
        assert until(lambda: set(subscriber.counted()) >= set(stored), 60)
        sink.stop()
    assert set(subscriber.counted()) == set(stored)
    assert all(stored[d["id"], d["state"]] == d for d in subscriber.detections())


@contextmanager
def troubled(broker: Broker, subscriber: Subscriber, dice: random.Random) -> Iterator[list[str]]:
    """The broker killed and frozen at random moments as long as the block lasts; what was done to it."""
    done: list[str] = []
    over = threading.Event()

    def trouble() -> None:
        while not over.wait(dice.uniform(0.1, 0.8)):
            # mosquitto writes what it owes an absent subscriber to disk only after it has acknowledged it. With the subscriber
            # there it has passed it on before, so that what this finds is the recorder's.
            if not until(lambda: subscriber.connected, 30):
                return
            if dice.random() < 0.5:
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


def test_the_daemon_killed_twenty_times_loses_nothing_and_leaves_its_will(broker: Broker, tmp_path: Path, open_sink: Open) -> None:
    dice, database = random.Random(3), tmp_path / "killed.db"
    with Subscriber(broker.port) as subscriber, Killable(database, broker.port) as recorder:
        for _ in range(DEATHS):
            with recorder.living():
                time.sleep(dice.uniform(0.0, 0.5))
        assert until(lambda: "offline" in subscriber.said("edge/r1/status"))
        arrives_whole(database, broker, subscriber, open_sink)
        assert recorder.stored > DEATHS
        assert set(subscriber.counted()) >= all_events(recorder.stored)
        assert until(lambda: subscriber.said("edge/r1/status")[-1] == "stopped")
        assert subscriber.said("edge/r1/status")[0] == "online"


def test_broker_and_daemon_killed_and_frozen_together_lose_nothing(broker: Broker, tmp_path: Path, open_sink: Open) -> None:
    dice, database = random.Random(9), tmp_path / "killed.db"
    with Subscriber(broker.port) as subscriber, Killable(database, broker.port) as recorder:
        with troubled(broker, subscriber, random.Random(10)) as done:
            for _ in range(DEATHS):
                with recorder.living():
                    time.sleep(dice.uniform(0.05, 0.9))
        assert {"killed", "frozen"} <= set(done)
        assert recorder.stored > DEATHS
        arrives_whole(database, broker, subscriber, open_sink)
        assert set(subscriber.counted()) >= all_events(recorder.stored)
