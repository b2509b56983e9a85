"""The quiet time: over midnight, and over the changes of the clocks."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edge.config.quiet import QuietTime, parse_quiet

ZONES = ("UTC", "Europe/Vienna", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu")
TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))
# The clocks of Vienna change on 29 March and 25 October 2026 at 01:00 UTC.
FORWARD = datetime(2026, 3, 29, 0, 59, 30, tzinfo=timezone.utc)
BACK = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)


@given(
    begin=TIMES,
    end=TIMES,
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(timezone.utc)),
    zone=st.sampled_from(ZONES),
)
@example(begin=time(1, 30), end=time(2, 30), at=FORWARD, zone="Europe/Vienna")
@example(begin=time(2, 10), end=time(2, 50), at=BACK, zone="Europe/Vienna")
@settings(max_examples=150, deadline=None)
def test_it_is_free_from_the_first_time_that_is_not_quiet(
    begin: time, end: time, at: datetime, zone: str
) -> None:
    quiet = QuietTime(begin=begin, end=end)
    there = ZoneInfo(zone)

    def wall(time: datetime) -> datetime:
        return time.astimezone(there)

    assume(begin != end)  # is refused as written: it would be all day
    free = quiet.free_from(at, wall)
    assert not quiet.covers(free, wall)
    assert at <= free <= at + timedelta(hours=25)
    step = at
    while step < free:
        assert quiet.covers(step, wall)
        step += timedelta(minutes=13)
    assert free == at or quiet.covers(free - timedelta(seconds=1), wall)


@pytest.mark.parametrize(
    ("at", "free"),
    [("21:59", "21:59"), ("22:00", "07:00"), ("03:10", "07:00"), ("06:59", "07:00")],
)
def test_over_midnight(at: str, free: str) -> None:
    quiet = parse_quiet("22:00-07:00")
    found = quiet.free_from(datetime.fromisoformat(f"2026-05-01T{at}:00+00:00"), lambda t: t)
    assert f"{found:%H:%M}" == free


@pytest.mark.parametrize("text", ["22-7", "22:00", "22:00-22:00", "24:00-07:00", "22:00 - 07:00"])
def test_what_is_no_quiet_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quiet time, such as 22:00-07:00"):
        parse_quiet(text)
