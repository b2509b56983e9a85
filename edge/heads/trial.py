"""The first hour of a head: what makes a recorder go back to the one before by itself.

Thresholds do not move, and nothing is decided in silence: each end of a trial has its reason, which
`info`, the log and a metric say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edge.heads.state import Trial

__all__ = ["Tally", "TrialEnd", "TrialRules", "TrialWatch", "start_of_trial"]


@dataclass(frozen=True, kw_only=True)
class TrialRules:
    """How long a trial is, and what ends it early.

    For `failing_s` seconds the model may fail on every window. The program may be started
    `most_starts` times. Events may be `times` as many as in an hour of the day before, or
    `least_events`, whichever is more; that day must have `least_heard_s` seconds of sound.
    """

    trial_s: float = 3600.0
    failing_s: float = 60.0
    most_starts: int = 4
    times: float = 10.0
    least_events: int = 50
    least_heard_s: float = 6 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many windows were judged and how many the model failed on, and how many events began."""

    judged: int = 0
    failed: int = 0
    events: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialEnd:
    """Why a trial ends: the head is `proven`, or the recorder goes back for a reason."""

    reason: Literal["proven", "no_windows", "too_many_events", "crash", "unusable"]
    text: str

    @property
    def proven(self) -> bool:
        """Whether the head stays."""
        return self.reason == "proven"


class TrialWatch:
    """Watches the first hour since `begun`, which is a count of all that was before."""

    def __init__(
        self,
        rules: TrialRules,
        begun: Tally,
        *,
        most_events: int | None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._begun = begun
        self._most_events = most_events
        self._monotonic_s = monotonic_s
        self._began_s = monotonic_s()

    def end(self, now: Tally) -> TrialEnd | None:
        """Return why the trial ends now, None while it goes on."""
        judged = now.judged - self._begun.judged
        failed = now.failed - self._begun.failed
        events = now.events - self._begun.events
        since_s = self._monotonic_s() - self._began_s
        if self._most_events is not None and events > self._most_events:
            text = f"{events} events within {since_s:.0f} s; {self._most_events} are ten times"
            return TrialEnd(reason="too_many_events", text=f"{text} what the day before had")
        if failed and not judged and since_s >= self._rules.failing_s:
            text = f"no window was judged in {since_s:.0f} s, and the model failed on {failed}"
            return TrialEnd(reason="no_windows", text=text)
        if judged and since_s >= self._rules.trial_s:
            text = f"{judged} windows judged and {events} events in {since_s:.0f} s"
            return TrialEnd(reason="proven", text=text)
        return None  # without sound there is nothing that a head could be blamed for


def start_of_trial(trial: Trial, *, boot_id: str, rules: TrialRules) -> Trial | TrialEnd:
    """Return the trial as it goes on at a start of the program, or why it ends there.

    A program that ended without being asked to, while the machine went on, has crashed. After a
    power cut nobody knows, but not again and again.
    """
    if not trial.stopped and trial.boot_id == boot_id:
        text = "the recorder ended within the first hour, and nobody had asked it to"
        return TrialEnd(reason="crash", text=text)
    starts = trial.starts + (not trial.stopped)
    if starts > rules.most_starts:
        text = f"the machine went down {starts - 1} times within the head's first hour"
        return TrialEnd(reason="crash", text=text)
    return trial.model_copy(update={"boot_id": boot_id, "starts": starts, "stopped": False})
