"""Which messages a broker does not take, so that one of them never holds up the others.

MQTT 5 lets a broker say so in its PUBACK; MQTT 3.1.1 lets it only hang up. mosquitto 2.0 does both
at once, and its reason is lost when we are still writing to it. After a connection that ended
without an answer, messages therefore go one at a time: the one on which connections end again and
again is the one that is not wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

__all__ = ["Refusals"]

REFUSED_S = 60.0  # a message that the broker does not want is offered again after so long
HANGUPS = 3  # a broker that is only restarting does not hang up on the same message so often


class Refusals:
    """Remembers refused rows over connections, by their number in the outbox. One thread only."""

    def __init__(self, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._until_s: dict[int, float] = {}
        self._answered = False
        self._hung_up: tuple[int, int] = (-1, 0)  # on which message sent alone, how often
        self.one_at_a_time = False

    def __len__(self) -> int:
        return len(self.now())

    def now(self) -> set[int]:
        """Return the rows that are not to be offered at present."""
        now_s = self._monotonic_s()
        self._until_s = {seq: until_s for seq, until_s in self._until_s.items() if until_s > now_s}
        return set(self._until_s)

    def refuse(self, seq: int) -> None:
        """Note that the broker said that it does not take this one."""
        self._answered = True
        self._until_s[seq] = self._monotonic_s() + REFUSED_S

    def taken(self) -> None:
        """Note that the broker has acknowledged something: it takes what it may."""
        self._answered = True
        self.one_at_a_time = False

    def ended(self, unanswered: Collection[int]) -> int | None:
        """Note that a connection ended with these rows unanswered.

        Returns the row on which connections ended once too often; it counts as refused from now on.
        """
        answered, self._answered = self._answered, False
        if answered or not unanswered:
            return None
        alone, self.one_at_a_time = self.one_at_a_time, True
        if not alone:
            return None
        (seq,) = unanswered
        self._hung_up = (seq, self._hung_up[1] + 1 if self._hung_up[0] == seq else 1)
        if self._hung_up[1] < HANGUPS:
            return None
        self._hung_up = (-1, 0)
        self.refuse(seq)
        return seq
