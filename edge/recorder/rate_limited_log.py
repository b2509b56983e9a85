"""Warnings of the hot path, said at once and then seldom: trouble that comes with every window must
not fill the journal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["REPEAT_S", "RateLimitedLog"]

REPEAT_S = 600.0


@dataclass(kw_only=True)
class _Trouble:
    """When it was last told, how often it came since, and whether it goes on as far as the log
    says.
    """

    told_s: float
    held: int = 0
    goes_on: bool = True


class RateLimitedLog:
    """At most one line in `every_s` for each `about`, with the number of those kept back. Used by
    one thread.
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
        """Trouble that is survived."""
        self._say(logging.WARNING, about, text)

    def error(self, about: str, text: str) -> None:
        """Trouble that has cost something for good."""
        self._say(logging.ERROR, about, text)

    def recovered(self, about: str, text: str) -> None:
        """The trouble has ended; said only when its beginning was."""
        trouble = self._troubles.get(about)
        if trouble is not None and trouble.goes_on:
            trouble.goes_on = False
            self._log.info("%s", text)

    def _say(self, level: int, about: str, text: str) -> None:
        now_s, trouble = self._monotonic_s(), self._troubles.get(about)
        if trouble is not None and now_s - trouble.told_s < self._every_s:
            trouble.held += 1
            return
        self._log.log(
            level,
            "%s%s",
            text,
            f" ({trouble.held} more like it)" if trouble is not None and trouble.held else "",
        )
        self._troubles[about] = _Trouble(told_s=now_s)
