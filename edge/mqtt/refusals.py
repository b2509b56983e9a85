"""Which messages a broker does not take, so that none of them holds up the others.

MQTT 5 lets a broker say so in its PUBACK; MQTT 3.1.1 lets it only hang up. mosquitto 2.0 does both
at once, and its reason is lost when we are still writing to it. After a connection that ended with
messages unanswered, the next ones therefore go one at a time: the one on which connections end
again and again is the one that is not wanted.

What was refused is offered again later, each time after twice the wait. Where it is the topic that
the broker does not grant, everything of that topic waits. Where everything is refused, everything
waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

__all__ = ["Message", "Refusals"]

FIRST_S = 60.0  # what the broker does not want is offered again after so long
LONGEST_S = 3600.0
CAREFUL = 30  # messages that go one at a time: announcements, and all that were on their way
HANGUPS = 3  # a broker that is only restarting does not hang up on the same thing so often
IN_A_ROW = 50  # refusals without a message that was taken: it is not the messages
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, kw_only=True)
class Message:
    """What was offered: its topic, and its number in the outbox, None for an announcement."""

    topic: str
    seq: int | None


@dataclass(frozen=True, kw_only=True)
class _Wait:
    until_s: float
    wait_s: float


class Refusals:
    """Remembers what was refused, over connections. One thread only."""

    def __init__(self, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._waits: dict[str | int, _Wait] = {}  # by topic, and by number in the outbox
        self._blamed: dict[str, int] = {}  # the message of each topic that was hung up on
        self._careful = 0  # how many messages are still to go one at a time
        self._hung_up: tuple[Message | None, int] = (None, 0)  # on which sent alone, how often
        self._in_a_row = 0
        self._paused_until_s = 0.0
        self._release_s = float("inf")

    @property
    def one_at_a_time(self) -> bool:
        """Whether a message is to wait for the answer to the one before."""
        return self._careful > 0

    @property
    def any(self) -> bool:
        """Whether anything may be waiting."""
        return bool(self._waits)

    @property
    def paused(self) -> bool:
        """Whether nothing is to be offered, since everything was refused of late."""
        return self._monotonic_s() < self._paused_until_s

    def waits(self, message: Message) -> bool:
        """Return whether this is not to be offered at present."""
        now_s = self._monotonic_s()
        keys: list[str | int] = [message.topic]
        if message.seq is not None:
            keys.append(message.seq)
        return any(key in self._waits and self._waits[key].until_s > now_s for key in keys)

    def released(self) -> bool:
        """Return whether a wait has ended since the last call that said so."""
        if self._monotonic_s() < self._release_s:
            return False
        now_s = self._monotonic_s()
        later = (wait.until_s for wait in self._waits.values() if wait.until_s > now_s)
        self._release_s = min(later, default=float("inf"))
        return True

    def refuse(self, message: Message, *, whole_topic: bool = False) -> None:
        """Note that the broker does not take this one, or nothing of its topic."""
        self._in_a_row += 1
        if self._in_a_row % IN_A_ROW == 0:
            self._paused_until_s = self._monotonic_s() + FIRST_S
        by_topic = whole_topic or message.seq is None
        self._wait(message.topic if by_topic else message.seq)

    def taken(self, message: Message) -> None:
        """Note that the broker has acknowledged this one: it takes what it may."""
        self._in_a_row = 0
        self._careful = max(0, self._careful - 1)
        self._waits.pop(message.topic, None)
        self._blamed.pop(message.topic, None)
        if message.seq is not None:
            self._waits.pop(message.seq, None)

    def ended(self, unanswered: Collection[Message]) -> Message | None:
        """Note that a connection ended soon after a message, with these unanswered.

        Returns the one on which connections ended once too often; it waits from now on.
        """
        alone = self.one_at_a_time and len(unanswered) == 1
        self._careful = CAREFUL
        if not alone:
            return None
        (message,) = unanswered
        before = self._hung_up[1] if self._hung_up[0] == message else 0
        self._hung_up = (message, before + 1)
        if before + 1 < HANGUPS:
            return None
        self._hung_up = (None, 0)
        self._blame(message)
        return message

    def _blame(self, message: Message) -> None:
        """Let a message wait, and its topic, when it is not the first of it."""
        another = self._blamed.get(message.topic, message.seq) != message.seq
        if message.seq is not None:
            self._blamed[message.topic] = message.seq
        self.refuse(message, whole_topic=another)

    def _wait(self, key: str | int | None) -> None:
        if key is None:
            return
        now_s = self._monotonic_s()
        wait = self._waits.get(key)
        if wait is not None and wait.until_s > now_s:
            return  # another of those that were on their way together
        wait_s = FIRST_S if wait is None else min(2 * wait.wait_s, LONGEST_S)
        if len(self._waits) >= MOST_REMEMBERED:
            self._waits.pop(next(iter(self._waits)))
        self._waits[key] = _Wait(until_s=now_s + wait_s, wait_s=wait_s)
        self._release_s = min(self._release_s, now_s + wait_s)
