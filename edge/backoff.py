"""How long to wait before trying again, for ever, without fifty recorders knocking at once."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Seconds to wait before the next attempt: doubling to `longest_s`, each shortened by up to
    half, so that recorders part.
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
        """The next wait."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return wait_s * (1 - self._chance() / 2)

    def reset(self) -> None:
        """It worked: begin anew."""
        self._next_s = self._first_s
