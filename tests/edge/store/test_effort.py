"""The law of the ledger: each sample is either heard, lost, gated or dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.store.effort import FATES, Effort, EffortMinute

RATE_HZ = 1000
MINUTE = 60 * RATE_HZ


def whole(minute: EffortMinute) -> bool:
    return bool(
        sum(getattr(minute, fate) for fate in FATES) == minute.end_sample - minute.start_sample
    )


def stream(
    effort: Effort, *, seconds: int, gated: range = range(0), late: range = range(0)
) -> None:
    """Enter blocks of a second, each with a window of 5 s at its end unless it is `late`."""
    for end_s in range(1, seconds + 1):
        effort.block((end_s - 1) * RATE_HZ, end_s * RATE_HZ)
        if end_s >= 5 and end_s not in late:
            effort.window(
                (end_s - 5) * RATE_HZ, end_s * RATE_HZ, fate="gated" if end_s in gated else "heard"
            )


def test_all_heard() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    stream(effort, seconds=130)
    minutes = effort.minutes()
    assert [(m.start_sample, m.end_sample, m.heard) for m in minutes] == [
        (0, MINUTE, MINUTE),
        (MINUTE, 2 * MINUTE, MINUTE),
    ]
    (rest,) = effort.flush()
    assert whole(rest)
    assert rest.seconds("heard") == 10.0
    assert not effort.flush()


def test_gated_seconds_are_those_that_a_gated_window_reached_first() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    stream(effort, seconds=60, gated=range(20, 30))
    (minute,) = effort.minutes()
    assert (minute.seconds("gated"), minute.seconds("heard")) == (10.0, 50.0)


def test_a_late_window_costs_nothing_that_the_next_one_hears() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    stream(effort, seconds=60, late=range(20, 24))
    assert effort.minutes()[0].seconds("heard") == 60.0


def test_windows_late_for_longer_than_a_window_drop_audio() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    stream(effort, seconds=60, late=range(20, 30))
    (minute,) = effort.minutes()
    # The window that ends at 30 reaches back to 25.
    assert (minute.seconds("dropped"), minute.seconds("heard")) == (6.0, 54.0)


def test_a_jump_is_lost_and_what_no_window_can_reach_before_it_is_dropped() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    effort.block(0, 2 * RATE_HZ)
    effort.block(10 * RATE_HZ, 20 * RATE_HZ)
    effort.window(10 * RATE_HZ, 20 * RATE_HZ, fate="heard")
    (part,) = effort.flush()
    assert [part.seconds(fate) for fate in FATES] == [10.0, 8.0, 0.0, 2.0, 0.0, 0.0]


def test_an_outage_moves_the_ledger_on_while_it_lasts() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    for second in range(0, 181):
        effort.block(second * RATE_HZ, second * RATE_HZ)
    assert [m.seconds("lost") for m in effort.minutes()] == [60.0, 60.0, 60.0]


def test_what_the_queue_threw_away_is_dropped_not_lost() -> None:
    effort = Effort(sample_rate_hz=RATE_HZ)
    effort.block(0, 5 * RATE_HZ)
    effort.window(0, 5 * RATE_HZ, fate="heard")
    effort.dropped(6 * RATE_HZ, 9 * RATE_HZ)
    effort.block(10 * RATE_HZ, 10 * RATE_HZ)
    (part,) = effort.flush()
    assert [part.seconds(fate) for fate in FATES] == [5.0, 2.0, 0.0, 3.0, 0.0, 0.0]
    assert [effort.total_s(fate) for fate in FATES] == [5.0, 2.0, 0.0, 3.0, 0.0, 0.0]


STEP = st.tuples(
    st.sampled_from(["block", "jump", "dropped", "heard", "gated", "private", "withheld"]),
    st.integers(0, 3 * MINUTE),
    st.integers(0, 2 * MINUTE),
)


@pytest.mark.parametrize("start", [0, 12_345])
@given(steps=st.lists(STEP, max_size=30))
def test_the_law(start: int, steps: list[tuple[str, int, int]]) -> None:
    """Minutes and total account for all elapsed audio time, in any order of events."""
    effort = Effort(sample_rate_hz=RATE_HZ, start_sample=start)
    end = start
    minutes = []
    for kind, ahead, length in steps:
        if kind == "block":
            effort.block(end, end := end + length)
        elif kind == "jump":
            effort.block(end + ahead, end := end + ahead + length)
        elif kind == "dropped":
            effort.dropped(end + ahead, end := end + ahead + length)
        elif kind == "withheld":
            effort.clip_withheld()
        else:
            effort.window(max(start, end - length), end, fate=kind)  # type: ignore[arg-type]
        minutes += effort.minutes()
    minutes += effort.flush()
    assert all(whole(minute) for minute in minutes)
    withheld = sum(kind == "withheld" for kind, _, _ in steps)
    assert sum(minute.clips_withheld for minute in minutes) == withheld
    edges = [start, *(m.end_sample for m in minutes)]
    assert [m.start_sample for m in minutes] == edges[:-1]
    assert edges[-1] == end
    assert all(m.end_sample % MINUTE == 0 for m in minutes[:-1])
    assert round(sum(effort.total_s(fate) for fate in FATES) * RATE_HZ) == end - start
