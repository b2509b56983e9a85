"""A reload or an end while the stream, for which a move of the store waits, takes its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edge.recorder import running_plan
from edge.recorder.running_plan import RunningPlan
from tests.support.daemons import until


class SlowStream:
    """Ends some time after it is told to."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.may_end = threading.Event()

    def run(self) -> None:
        assert self.may_end.wait(30)

    def stop(self) -> None:
        """Say nothing: it is at work."""


class AStore:
    def __init__(self) -> None:
        self.sinks: tuple[str, ...] = ()
        self.closed = False

    def close(self) -> None:
        self.closed = True


class APlace:
    """Has a better store to move to, once."""

    def __init__(self) -> None:
        self.store, self.better = AStore(), AStore()
        self.offered = False

    def better_store(self, config: Any) -> AStore | None:
        offered, self.offered = self.offered, True
        return None if offered else self.better

    def move_to(self, new: AStore, *, device: str) -> None:
        self.store = new


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> APlace:
    monkeypatch.setattr(running_plan, "STOP_S", 0.05)
    monkeypatch.setattr(running_plan, "sinks_of", lambda config: (config,))
    for name in ("show_what_runs", "log_privacy", "log_what_runs"):
        monkeypatch.setattr(running_plan, name, lambda *_: None)
    return APlace()


@pytest.fixture
def streams() -> list[SlowStream]:
    return []


def plan(config: str) -> Any:
    return SimpleNamespace(device="pond", config=config)


@pytest.fixture
def running(place: APlace, streams: list[SlowStream]) -> Iterator[RunningPlan]:
    def record(plan: Any) -> Any:
        streams.append(SlowStream(plan))
        return streams[-1]

    parts: dict[str, Any] = {"place": place, "record": record, "metrics": None}
    running = RunningPlan(plan("old"), deliver=lambda *_: [], died=print, **parts)
    running.start_stream()
    running.look_after_store()
    assert running.handing_over
    yield running
    for stream in streams:
        stream.may_end.set()
    running.stop_stream()


def test_a_reload_leaves_the_move_as_it_was(
    running: RunningPlan, place: APlace, streams: list[SlowStream]
) -> None:
    running.use(plan("new"), running.deliveries(plan("new")))
    streams[0].may_end.set()
    until(lambda: len(streams) == 2)
    assert place.store is place.better
    assert place.better.sinks == ("new",)
    assert [stream.plan.config for stream in streams] == ["old", "new"]
    assert not place.better.closed


def test_an_end_closes_the_store_that_nothing_has_moved_to(
    running: RunningPlan, place: APlace
) -> None:
    running.stop_stream()
    assert place.better.closed
    assert place.store is not place.better
