"""How long to wait before trying again, so that fifty recorders do not try at the same moment."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """The wait before each attempt, which doubles from `first_s` up to `longest_s`.

    Each is shortened by up to a half, at random, so that recorders do not stay in step.
    """

    def __init__(
        self,
        *,
        first_s: float = 1.0,
        longest_s: float = 30.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s
        self._chance = chance

    def next_s(self) -> float:
        """Return the next wait in seconds."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s * (1 - self._chance() / 2)

    def reset(self) -> None:
        """Begin with the first wait again, after a success."""
        self._next_s = self._first_s
