"""Times of the year, and which of them a sample may lie in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.bundle.occurrence import WEEKS as WEEKS_OF_A_YEAR
from edge.clock import Clock

__all__ = ["MONTHS", "WEEKS", "Calendar"]

YEAR_S = 366 * 86_400


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """A year in `parts`, counted from 1; `part_of` is that of a date."""

    parts: int
    part_of: Callable[[datetime], int]

    @property
    def all(self) -> frozenset[int]:
        """All parts of the year."""
        return frozenset(range(1, self.parts + 1))

    def parts_at(self, clock: Clock, sample: int) -> frozenset[int]:
        """Return the parts of the year, by UTC, in which a sample may have been captured."""
        if clock.uncertainty_s >= YEAR_S:
            return self.all
        time, spread = clock.utc(sample), timedelta(seconds=clock.uncertainty_s)
        first, last = self._number(time - spread), self._number(time + spread)
        return frozenset(number % self.parts + 1 for number in range(first, last + 1))

    def _number(self, time: datetime) -> int:
        """Return the number of parts since the year 0."""
        return time.year * self.parts + self.part_of(time) - 1


def _week(time: datetime) -> int:
    """Return the 48th of the year, as BirdNET counts them."""
    start = datetime(time.year, 1, 1)
    days = (datetime(time.year + 1, 1, 1) - start).days
    return math.ceil(time.timetuple().tm_yday / days * WEEKS_OF_A_YEAR)


MONTHS = Calendar(parts=12, part_of=lambda time: time.month)
WEEKS = Calendar(parts=WEEKS_OF_A_YEAR, part_of=_week)
