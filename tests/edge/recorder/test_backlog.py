"""What waits for the store: bounded, and what an event's end makes up for goes first."""

from __future__ import annotations

from edge.recorder.backlog import Backlog
from edge.types import EventState
from tests.support.backlog import waiting


def kept(backlog: Backlog) -> list[tuple[int, EventState]]:
    return [(w.event.start_sample, w.event.state) for w in backlog.detections]


def test_a_later_update_stands_for_the_one_before_it() -> None:
    backlog = Backlog()
    for state in ("new", "update", "update", "update", "end"):
        assert backlog.add(waiting(1, state)) is None
    assert kept(backlog) == [(1, "new"), (1, "update"), (1, "end")]


def test_without_room_updates_go_first_and_then_the_oldest() -> None:
    backlog = Backlog(most_detections=4)
    for number, state in ((1, "new"), (1, "update"), (1, "end"), (2, "new")):
        backlog.add(waiting(number, state))  # type: ignore[arg-type]
    assert backlog.room == 0
    lost = backlog.add(waiting(2, "end"))
    assert lost is not None
    assert (lost.event.start_sample, lost.event.state) == (1, "update")
    lost = backlog.add(waiting(3))
    assert lost is not None
    assert (lost.event.start_sample, lost.event.state) == (1, "new")
    assert kept(backlog) == [(1, "end"), (2, "new"), (2, "end"), (3, "new")]


def test_it_says_for_how_long_the_store_has_taken_nothing() -> None:
    now = [100.0]
    backlog = Backlog(monotonic_s=lambda: now[0])
    assert backlog.waiting_s == 0.0
    backlog.refused()
    now[0] = 107.0
    backlog.refused()
    assert backlog.waiting_s == 7.0
    backlog.taken()
    assert backlog.waiting_s == 0.0
