"""Warnings of the hot path: trouble that comes with every window must not fill the journal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["REPEAT_S", "RateLimitedLog"]

REPEAT_S = 600.0


@dataclass(kw_only=True)
class _Trouble:
    """When it was last logged, how often it came since, and whether the log says it goes on."""

    logged_s: float
    held_back: int = 0
    goes_on: bool = True


class RateLimitedLog:
    """Writes at most one line in `every_s` for each `about`. Used by one thread.

    The first is written at once; each later one has the number of those that were held back.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        every_s: float = REPEAT_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._troubles: dict[str, _Trouble] = {}

    def warning(self, about: str, text: str) -> None:
        """Log trouble that is survived."""
        self._say(logging.WARNING, about, text)

    def error(self, about: str, text: str) -> None:
        """Log trouble that has cost something for good."""
        self._say(logging.ERROR, about, text)

    def recovered(self, about: str, text: str) -> None:
        """Log that the trouble has ended, if its beginning was logged."""
        trouble = self._troubles.get(about)
        if trouble is not None and trouble.goes_on:
            trouble.goes_on = False
            self._log.info("%s", text)

    def _say(self, level: int, about: str, text: str) -> None:
        now_s = self._monotonic_s()
        trouble = self._troubles.get(about)
        if trouble is not None and now_s - trouble.logged_s < self._every_s:
            trouble.held_back += 1
            return
        held_back = trouble.held_back if trouble is not None else 0
        more = f" ({held_back} more like it)" if held_back else ""
        self._log.log(level, "%s%s", text, more)
        self._troubles[about] = _Trouble(logged_s=now_s)
