"""The first hour of a head: what ends it, what does not, and what is compared with what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.clock import rfc3339
from edge.heads.state import Trial
from edge.heads.trial import Tally, TrialEnd, TrialRules, TrialWatch, start_of_trial
from edge.recorder.trial_numbers import most_events
from edge.store.effort import EffortMinute
from edge.store.store import Store
from tests.support.store import SYNCED, payload

BEGUN = Tally(judged=1000, failed=7, events=500)
NOW = datetime(2026, 5, 2, 6, tzinfo=timezone.utc)
RULES = TrialRules()


def after(
    seconds: float,
    *,
    judged: int = 0,
    failed: int = 0,
    events: int = 0,
    most: int | None = 50,
) -> str:
    """Why a trial ends after these seconds, in which there were so many more."""
    now = [0.0]
    watch = TrialWatch(RULES, BEGUN, most_events=most, monotonic_s=lambda: now[0])
    now[0] = seconds
    tally = Tally(
        judged=BEGUN.judged + judged, failed=BEGUN.failed + failed, events=BEGUN.events + events
    )
    end = watch.end(tally)
    return "" if end is None else end.reason


def test_what_was_before_the_head_is_not_blamed_on_it() -> None:
    assert after(3599, judged=3599) == ""
    assert after(3600, judged=3600) == "proven"


def test_a_model_that_fails_on_every_window_is_left_after_a_minute() -> None:
    assert after(59, failed=59) == ""
    assert after(60, failed=60) == "no_windows"
    assert after(60, failed=59, judged=1) == ""


def test_without_sound_a_head_is_neither_proven_nor_blamed() -> None:
    assert after(86_400) == ""
    assert after(86_400, judged=1) == "proven"


def test_too_many_events_are_too_many_at_once() -> None:
    assert after(1, judged=1, events=50) == ""
    assert after(1, judged=1, events=51) == "too_many_events"
    assert after(1, judged=1, events=9999, most=None) == ""


@pytest.mark.parametrize(
    ("trial", "found"),
    [
        (Trial(boot_id="a", stopped=True), Trial(boot_id="a")),
        (Trial(boot_id="a"), "crash"),
        (Trial(boot_id="z"), Trial(boot_id="a", starts=2)),
        (Trial(boot_id="z", starts=4, stopped=True), Trial(boot_id="a", starts=4)),
        (Trial(boot_id="z", starts=4), "crash"),
        (Trial(boot_id="z", most_events=9), Trial(boot_id="a", starts=2, most_events=9)),
    ],
)
def test_a_start_within_the_first_hour(trial: Trial, found: Trial | str) -> None:
    began = start_of_trial(trial, boot_id="a", rules=RULES)
    assert (began.reason if isinstance(began, TrialEnd) else began) == found


@pytest.fixture
def day(tmp_path: Path) -> Callable[[int, int, int], int | None]:
    """What may begin after a day with so many hours heard, events in the same hour, and others."""

    def most(hours: int, same: int, others: int) -> int | None:
        with Store(tmp_path / "edge.db", outbox_bytes=10**9, history_bytes=10**9) as store:
            for hour in range(hours):
                minute = EffortMinute(
                    start_sample=hour * 10**9,
                    end_sample=hour * 10**9 + 3600 * 8000,
                    sample_rate_hz=8000,
                    heard=3600 * 8000,
                )
                start = {"start_utc": rfc3339(NOW - timedelta(hours=hour + 1))}
                store.record_effort(minute, start, stream="s", dating=SYNCED)
            ages = [timedelta(hours=23.5)] * same + [timedelta(hours=3)] * others
            for number, age in enumerate([timedelta(days=9), *ages, timedelta(hours=-1)]):
                event = {**payload(number, state="new"), "start_utc": rfc3339(NOW - age)}
                store.record(event, dating=SYNCED)
            return most_events(store, NOW, RULES)

    return most


def test_ten_times_an_hour_of_the_day_before(day: Callable[[int, int, int], int | None]) -> None:
    assert day(24, 0, 480) == 200  # 20 an hour


def test_the_same_hour_counts_where_it_had_more(
    day: Callable[[int, int, int], int | None],
) -> None:
    assert day(24, 60, 420) == 600


def test_a_quiet_day_makes_nobody_nervous(day: Callable[[int, int, int], int | None]) -> None:
    assert day(24, 0, 0) == 50


def test_half_a_night_is_no_day(
    day: Callable[[int, int, int], int | None], caplog: pytest.LogCaptureFixture
) -> None:
    assert day(5, 10, 10) is None
    assert "5.0 h of the day before were heard" in caplog.text


def test_hours_that_were_not_heard_are_not_quiet_ones(
    day: Callable[[int, int, int], int | None],
) -> None:
    assert day(8, 0, 80) == 100
