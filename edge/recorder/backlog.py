"""What waits in memory until the store takes it: bounded, and the same for stream after stream."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.backoff import Backoff
from edge.clock import Clock
from edge.recorder.plan import RecorderPlan
from edge.store.effort import EffortMinute
from edge.store.ledger import LedgerEnd
from edge.store.store import Dating
from edge.types import Detection, Score

__all__ = ["Backlog", "WaitingDetection", "WaitingMinute"]

# Rows. A detection with its embedding takes about 7 kB, a minute 1 kB.
DETECTIONS = 2048
MINUTES = 1440
PATIENCE_S = 30.0


@dataclass(frozen=True, kw_only=True)
class WaitingDetection:
    """An event that is not stored yet, the file of its sound, and how it is dated.

    `withheld` is what is private in that sound, where it is not kept for that. The event is stored
    as one of its own `plan`, whatever runs by then.
    """

    event: Detection
    clip: str | None
    clock: Clock
    dating: Dating
    plan: RecorderPlan
    withheld: Score | None = None


@dataclass(frozen=True, kw_only=True)
class WaitingMinute:
    """A minute of a stream's ledger that is not stored yet, and how it is dated."""

    minute: EffortMinute
    stream: str
    clock: Clock
    dating: Dating
    device: str


class Backlog:
    """Detections and minutes of the ledger, oldest first.

    The pipeline's thread adds and removes; any thread may ask how much there is.
    """

    def __init__(
        self,
        *,
        most_detections: int = DETECTIONS,
        most_minutes: int = MINUTES,
        patience_s: float = PATIENCE_S,
        file_backoff: Backoff | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.detections: deque[WaitingDetection] = deque()
        self.minutes: deque[WaitingMinute] = deque()
        self.ledger_end: LedgerEnd | None = None  # with what waits; None before the first minute
        self.most = most_detections
        self._most_minutes = most_minutes
        self._patience_s = patience_s
        # Before each attempt to use the store's file again, while the store is in memory.
        self.file_backoff = file_backoff or Backoff(first_s=10.0, longest_s=300.0)
        self._monotonic_s = monotonic_s
        self._refused_s: float | None = None  # since when the store has taken nothing

    @property
    def rows(self) -> int:
        """How much waits."""
        return len(self.detections) + len(self.minutes)

    @property
    def room(self) -> int:
        """How many more detections may wait before one is lost."""
        return self.most - len(self.detections)

    @property
    def waiting_s(self) -> float:
        """For how long the store has taken nothing; 0 where nothing waits."""
        return 0.0 if self._refused_s is None else self._monotonic_s() - self._refused_s

    @property
    def overdue(self) -> bool:
        """Whether the store has taken nothing for so long that another place is to be found."""
        return self.waiting_s > self._patience_s or 2 * self.room < self.most

    def add(self, waiting: WaitingDetection) -> WaitingDetection | None:
        """Have a detection wait; return the one that is lost for it, if any.

        A later update of an event stands for the one before it. What has to go is the oldest
        update, which the end of its event makes up for, and only then the oldest of all.
        """
        lost = None
        self._forget_update(waiting.event)
        if self.room <= 0:
            updates = (i for i, w in enumerate(self.detections) if w.event.state == "update")
            number = next(updates, 0)
            lost = self.detections[number]
            del self.detections[number]
        self.detections.append(waiting)
        return lost

    def add_minute(self, waiting: WaitingMinute) -> WaitingMinute | None:
        """Have a minute wait; return the one that is lost for it, if any."""
        lost = self.minutes.popleft() if len(self.minutes) >= self._most_minutes else None
        self.minutes.append(waiting)
        return lost

    def refused(self) -> None:
        """Note that the store has taken nothing."""
        if self._refused_s is None:
            self._refused_s = self._monotonic_s()

    def taken(self) -> None:
        """Note that the store has taken something, or that nothing waits."""
        self._refused_s = None

    def _forget_update(self, event: Detection) -> None:
        if event.state != "update":
            return
        for number, waiting in enumerate(self.detections):
            if waiting.event.id == event.id and waiting.event.state == "update":
                del self.detections[number]
                return
