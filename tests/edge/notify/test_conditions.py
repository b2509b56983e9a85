"""How faults go: whatever flaps, what is told alternates and is bounded."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.notify import NotifyConfig
from edge.notify.conditions import Course, next_course

NOW = datetime(2026, 5, 3, 12, tzinfo=timezone.utc)
CONFIG = NotifyConfig(after_s=300.0, every_s=3600.0)
# For how many looks of 10 s a fault shows, then does not, and so on.
STRETCHES = st.lists(st.integers(1, 90), min_size=1, max_size=60)


def told_of(stretches: list[int]) -> list[tuple[float, str]]:
    """What is told, and after how many seconds."""
    told: list[tuple[float, str]] = []
    course, at_s = Course(), 0.0
    for number, stretch in enumerate(stretches):
        for _ in range(stretch):
            at_s += 10.0
            now = NOW + timedelta(seconds=at_s)
            course, what = next_course(course, number % 2 == 0, now=now, config=CONFIG)
            if what is not None:
                told.append((at_s, what))
    return told


@given(STRETCHES)
@settings(max_examples=150, deadline=None)
def test_begun_and_over_take_turns_and_begun_is_told_once_in_an_hour(stretches: list[int]) -> None:
    told = told_of(stretches)
    assert [what for _, what in told] == [("begun", "over")[n % 2] for n in range(len(told))]
    begun = [at_s for at_s, what in told if what == "begun"]
    assert all(later - earlier >= 3600.0 for earlier, later in itertools.pairwise(begun))


@given(STRETCHES)
@settings(max_examples=150, deadline=None)
def test_a_fault_that_lasts_is_told_and_one_that_is_over_for_long_is_over(
    stretches: list[int],
) -> None:
    hour = 3600 // 10
    odd = len(stretches) % 2 == 1
    lasting = [*stretches, *([1] if odd else []), hour + 31]  # ends with the fault showing
    assert told_of(lasting)[-1][1] == "begun"
    told = told_of([*lasting, 31])
    assert told[-1][1] == "over"


@given(jump_s=st.integers(-(10**8), 10**8), shows=st.booleans())
def test_a_clock_that_jumps_is_no_evidence(jump_s: int, shows: bool) -> None:
    course, _ = next_course(Course(), True, now=NOW, config=CONFIG)
    later = NOW + timedelta(seconds=jump_s)
    course, told = next_course(course, shows, now=later, config=CONFIG)
    assert told is None
    assert course.evidence_s <= 60.0
    assert course.since is None or course.since <= later or not shows
