"""What holds for every delivery: it waits for nobody, loses nothing, and dies aloud."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.store.outbox import OutboxRow
from edge.store.store import Store
from tests.support.broker import unexpected, until
from tests.support.far_ends import FarEnd, MqttFarEnd
from tests.support.store import SYNCED, UNSYNCED, event_id, payload, spoil_newest

pytestmark = pytest.mark.broker

FAR_ENDS: dict[str, Callable[[Path], FarEnd]] = {"mqtt": MqttFarEnd}
STOP_S = 3.0  # what a delivery has promised
SLACK_S = 1.0  # of a machine that has more to do
STATES = ("new", "update", "end")


@pytest.fixture(params=FAR_ENDS)
def far_end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnd]:
    far_end = FAR_ENDS[request.param](tmp_path / "far_end")
    try:
        yield far_end
    finally:
        far_end.close()


@pytest.fixture
def store(far_end: FarEnd, tmp_path: Path) -> Iterator[Store]:
    with open_store(Store, far_end, tmp_path) as store:
        yield store


def open_store(kind: type[Store], far_end: FarEnd, folder: Path) -> Store:
    return kind(folder / "edge.db", sinks=(far_end.sink,), outbox_bytes=10**8, history_bytes=10**8)


def fill(store: Store, numbers: range) -> set[tuple[str, str]]:
    """Store events of these numbers; the id and state of each."""
    for number in numbers:
        for state in STATES:
            store.record(payload(number, state=state), dating=SYNCED)
    return {(event_id(number), state) for number in numbers for state in STATES}


def waiting(store: Store, far_end: FarEnd) -> int:
    rows, _ = store.depth(far_end.sink)
    return rows


def test_what_was_stored_before_and_after_its_start_arrives_once(
    far_end: FarEnd, store: Store
) -> None:
    expected = fill(store, range(5))
    delivery = far_end.delivery(store, unexpected)
    assert not delivery.alive
    delivery.start()
    assert delivery.alive
    expected |= fill(store, range(5, 10))
    assert until(lambda: waiting(store, far_end) == 0)
    assert until(lambda: set(far_end.received()) == expected)
    delivery.stop()
    assert not delivery.alive
    assert set(far_end.received().values()) == {1}


def test_an_absent_far_end_holds_nobody_up_and_loses_nothing(far_end: FarEnd, store: Store) -> None:
    far_end.kill()
    expected = fill(store, range(5))
    delivery = far_end.delivery(store, unexpected)
    began_s = time.monotonic()
    delivery.start()
    assert time.monotonic() - began_s < SLACK_S
    time.sleep(0.3)  # for some attempts
    assert waiting(store, far_end) == len(expected)
    far_end.start()
    assert until(lambda: waiting(store, far_end) == 0)
    assert until(lambda: set(far_end.received()) == expected)
    delivery.stop()


def test_without_an_answer_a_row_stays_and_the_next_delivery_brings_it(
    far_end: FarEnd, store: Store
) -> None:
    delivery = far_end.delivery(store, unexpected)
    delivery.start()
    expected = fill(store, range(1))
    assert until(lambda: set(far_end.received()) == expected and not waiting(store, far_end))
    far_end.freeze()
    expected |= fill(store, range(1, 3))
    time.sleep(0.3)
    assert waiting(store, far_end) == 2 * len(STATES)
    began_s = time.monotonic()
    delivery.stop()
    assert time.monotonic() - began_s < STOP_S + SLACK_S
    assert not delivery.alive
    assert waiting(store, far_end) == 2 * len(STATES)
    far_end.thaw()
    following = far_end.delivery(store, unexpected)
    following.start()
    assert until(lambda: waiting(store, far_end) == 0)
    assert until(lambda: set(far_end.received()) == expected)
    following.stop()


def test_a_row_that_damage_has_spoilt_holds_up_no_other(
    far_end: FarEnd, store: Store, tmp_path: Path
) -> None:
    expected = fill(store, range(3))
    expected.remove((event_id(2), "end"))
    spoil_newest(tmp_path / "edge.db")
    expected |= fill(store, range(3, 6))
    delivery = far_end.delivery(store, unexpected)
    delivery.start()
    assert until(lambda: waiting(store, far_end) == 0)
    assert until(lambda: set(far_end.received()) == expected)
    assert store.aside(far_end.sink)["unsendable"] == 1
    delivery.stop()


def test_a_row_that_is_dated_anew_arrives_with_its_new_time(far_end: FarEnd, store: Store) -> None:
    """Whatever was on its way: the far end has last what the history has."""
    delivery = far_end.delivery(store, unexpected)
    delivery.start()
    right = replace(SYNCED, offset_us=3_600_000_000)
    for number in range(60):
        store.record(payload(number, synced=False), dating=UNSYNCED)
        if number % 20 == 10:
            store.redate(right)
    store.redate(right)
    assert until(lambda: waiting(store, far_end) == 0)
    assert set(far_end.received()) == {(event_id(number), "end") for number in range(60)}
    sent = store._db.execute("SELECT count(*), sum(sent) FROM detections WHERE synced").fetchone()
    assert sent == (60, 60)
    delivery.stop()


def test_a_far_end_that_is_killed_and_comes_back_has_everything(
    far_end: FarEnd, store: Store
) -> None:
    delivery = far_end.delivery(store, unexpected)
    delivery.start()
    expected: set[tuple[str, str]] = set()
    for life in range(3):
        expected |= fill(store, range(20 * life, 20 * life + 20))
        far_end.kill()
        time.sleep(0.2)
        far_end.start()
    assert until(lambda: waiting(store, far_end) == 0)
    assert until(lambda: set(far_end.received()) == expected)
    delivery.stop()


def test_it_ends_in_time_while_the_far_end_is_away(far_end: FarEnd, store: Store) -> None:
    far_end.kill()
    fill(store, range(5))
    delivery = far_end.delivery(store, unexpected)
    delivery.start()
    time.sleep(0.2)
    began_s = time.monotonic()
    delivery.stop()
    assert time.monotonic() - began_s < STOP_S + SLACK_S
    assert not delivery.alive
    delivery.stop()  # once more does no harm
    far_end.start()


def test_a_fault_of_its_own_is_reported_and_not_survived(far_end: FarEnd, tmp_path: Path) -> None:
    class BrokenStore(Store):
        def pending(self, *_: Any, **__: Any) -> list[OutboxRow]:
            raise TypeError("a bug in the outbox")

    reasons: list[BaseException] = []
    with open_store(BrokenStore, far_end, tmp_path) as store:
        delivery = far_end.delivery(store, reasons.append)
        delivery.start()
        fill(store, range(1))
        assert until(lambda: bool(reasons))
        assert until(lambda: not delivery.alive)
        delivery.stop()
    assert [str(reason) for reason in reasons] == ["a bug in the outbox"]
