"""How fast something may go: a token bucket, so that the other side can breathe."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace"]

LONGEST_WAIT_S = 1.0


class Pace:
    """Lets at most `rate_per_s` messages go a second, after a rest `at_once`.

    Without `at_once`, that is what goes in a second. One thread only.
    """

    def __init__(
        self,
        rate_per_s: float,
        *,
        at_once: float | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_per_s = rate_per_s
        self._most = max(rate_per_s, 1.0) if at_once is None else at_once
        self._monotonic_s = monotonic_s
        self._tokens = rate_per_s if at_once is None else at_once
        self._counted_s = monotonic_s()

    def allowance(self) -> int:
        """Return how many messages may go now; it is negative where too many went."""
        now_s = self._monotonic_s()
        earned = (now_s - self._counted_s) * self._rate_per_s
        self._tokens = min(self._most, self._tokens + earned)
        self._counted_s = now_s
        return int(self._tokens)

    def spend(self, messages: int) -> None:
        """Count messages that have gone."""
        self._tokens -= messages

    @property
    def exhausted(self) -> bool:
        """Whether the next message has to wait for its time."""
        return self._tokens < 1

    @property
    def wait_s(self) -> float:
        """How long there is nothing to send because of the pace, at most."""
        return min(LONGEST_WAIT_S, 1.0 / self._rate_per_s) if self.exhausted else LONGEST_WAIT_S
