"""Live time: from samples, by the time since boot, whatever the wall clock does."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest

from edge.recorder.live_clock import CAPTURE_S, UNSYNCED_S, LiveClock, SystemWorld, WallState

RATE = 8000
START = datetime(2024, 5, 1, 5, 30, tzinfo=timezone.utc)


@dataclass
class FakeWorld:
    """The machine's clocks, all in the test's hand."""

    running_s: float = 100.0
    wall: datetime = START
    state: WallState = field(default_factory=lambda: WallState(synced=True, uncertainty_s=0.02))

    def boot_id(self) -> str:
        return "2f0f3c1e-0000-4000-8000-000000000000"

    def boottime_us(self) -> int:
        return round(self.running_s * 1e6)

    def monotonic_s(self) -> float:
        return self.running_s - 40.0  # the machine slept for 40 s

    def utc_us(self) -> int:
        return (self.wall - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)

    def wall_state(self) -> WallState:
        return self.state

    def wait(self, seconds: float) -> None:
        self.running_s += seconds
        self.wall += timedelta(seconds=seconds)


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def clock(world: FakeWorld) -> LiveClock:
    return LiveClock(sample_rate_hz=RATE, world=world)


@pytest.mark.parametrize("jump", [timedelta(days=2), timedelta(hours=-1)])
def test_a_jump_of_the_wall_clock_moves_nothing(
    world: FakeWorld, clock: LiveClock, jump: timedelta
) -> None:
    before = clock.at(10 * RATE).utc(10 * RATE)
    world.wait(20)
    world.wall += jump
    assert not clock.poll()
    world.wait(20)
    clock.captured(40 * RATE, world.monotonic_s())
    assert clock.at(10 * RATE).utc(10 * RATE) == before == START + timedelta(seconds=10)
    assert clock.at(40 * RATE).utc(40 * RATE) == START + timedelta(seconds=40)
    assert clock.offset_s == pytest.approx(jump.total_seconds())


def test_the_first_synchronisation_corrects_once(world: FakeWorld) -> None:
    world.state = WallState(synced=False, uncertainty_s=0)
    clock = LiveClock(sample_rate_hz=RATE, world=world)
    old = clock.dating()
    assert (old.synced, old.uncertainty_s) == (False, UNSYNCED_S)
    assert not clock.poll()
    world.wall += timedelta(days=100)
    world.state = WallState(synced=True, uncertainty_s=0.02)
    assert [clock.poll(), clock.poll()] == [True, False]
    new = clock.dating()
    assert new.offset_us - old.offset_us == 100 * 86_400 * 10**6
    assert (new.boot_id, new.synced) == (old.boot_id, True)
    assert new.uncertainty_s == pytest.approx(CAPTURE_S + 0.02)
    assert clock.at(0).utc(0) == START + timedelta(days=100)
    assert clock.at(0).source == "system"


def test_a_crystal_that_drifts_is_followed_and_the_past_stays(
    world: FakeWorld, clock: LiveClock
) -> None:
    """100 ppm fast: a day later the sample index is 8.64 s ahead of itself."""
    times = []
    for minute in range(1, 24 * 60):
        world.wait(60)
        sample = round(minute * 60 * RATE * 1.0001)
        clock.captured(sample, world.monotonic_s())
        times.append((sample, clock.at(sample).utc(sample)))
        assert abs(times[-1][1] - world.wall) <= timedelta(seconds=0.02)
    assert [time for _, time in times] == sorted(time for _, time in times)
    assert all(clock.at(sample).utc(sample) == time for sample, time in times)


def test_sample_zero_is_when_it_was_heard(world: FakeWorld, clock: LiveClock) -> None:
    world.wait(3)
    clock.captured(0, world.monotonic_s())
    assert clock.at(RATE).utc(RATE) == START + timedelta(seconds=4)


@pytest.mark.parametrize(("state", "synced"), [(0, True), (1, True), (5, False)])
def test_the_kernel_says_whether_a_time_service_keeps_the_clock(state: int, synced: bool) -> None:
    def call(timex: ctypes.Array[ctypes.c_char]) -> int:
        ctypes.c_long.from_buffer(timex, 3 * ctypes.sizeof(ctypes.c_long)).value = 250_000
        return state

    assert SystemWorld().wall_state(call) == WallState(synced=synced, uncertainty_s=0.25)


def test_where_the_kernel_may_not_be_asked_nothing_breaks() -> None:
    assert SystemWorld().wall_state(lambda timex: -1).uncertainty_s == 1.0


def test_of_this_machine() -> None:
    clock = LiveClock(sample_rate_hz=RATE)
    assert abs(clock.now_utc() - datetime.now(timezone.utc)) < timedelta(seconds=1)
    assert len(clock.boot_id) == 36


def test_orders_go_by_a_clock_that_is_set_or_that_nothing_has_set_for_long() -> None:
    world = FakeWorld(state=WallState(synced=False, uncertainty_s=16.0))
    clock = LiveClock(world=world)
    found = clock.order_time()
    assert (found.synced, found.settled) == (False, False)
    assert found.now_s == START.timestamp()
    world.wait(500)
    assert clock.order_time().settled  # the machine has run for ten minutes
    world.state = WallState(synced=True, uncertainty_s=0.02)
    assert clock.order_time().synced
    assert clock.order_time().now_s == START.timestamp() + 500
