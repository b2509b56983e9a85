"""A time of the day in which nobody is told anything, such as 22:00-07:00."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone

from edge.errors import shown

__all__ = ["QuietTime", "parse_quiet"]

WRITTEN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
MINUTE = timedelta(minutes=1)
Local = Callable[[datetime], datetime]


@dataclass(frozen=True, kw_only=True)
class QuietTime:
    """From `begin` to before `end`, by the clock on the wall; over midnight where that is later."""

    begin: time
    end: time

    def covers(self, at: datetime, local: Local) -> bool:
        """Return whether a time is quiet; `local` gives the time on the wall."""
        wall = local(at).time()
        if self.begin < self.end:
            return self.begin <= wall < self.end
        return wall >= self.begin or wall < self.end

    def free_from(self, at: datetime, local: Local) -> datetime:
        """Return the first time from `at` on that is not quiet: `at`, or a whole minute.

        Minute by minute, so that hours that the change of the clocks leaves out or makes twice need
        no thought.
        """
        free = at.astimezone(timezone.utc)
        while self.covers(free, local):
            free = free.replace(second=0, microsecond=0) + MINUTE
        return free


def parse_quiet(text: str) -> QuietTime:
    """Parse a quiet time; raises ValueError."""
    found = WRITTEN.fullmatch(text)
    if found is None or found.group(1, 2) == found.group(3, 4):
        raise ValueError(f"{shown(text)} is no quiet time, such as 22:00-07:00")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    return QuietTime(begin=time(hour, minute), end=time(end_hour, end_minute))
