"""The line that `systemctl status` shows of a recorder, from its own store."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo

from edge.errors import StoreError
from edge.recorder.systemd import Notifier
from edge.store.store import Store
from edge.store.summary import status_line, summarise

__all__ = ["StatusLine"]

EVERY_S = 10.0


class StatusLine:
    """Tells the service manager what the recorder does, every `EVERY_S` at most.

    Used by the pipeline's thread. `zone` decides when today begins; None is the system's.
    """

    def __init__(
        self,
        notifier: Notifier,
        store: Store,
        *,
        zone: tzinfo | None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._store = store
        self._zone = zone
        self._now = now
        self._monotonic_s = monotonic_s
        self._told_s = -math.inf

    def tell(self) -> None:
        """Send the line where somebody listens and the last one is old."""
        now_s = self._monotonic_s()
        if not self._notifier.listened_to or now_s - self._told_s < EVERY_S:
            return
        self._told_s = now_s
        now = self._now()
        day = now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        try:
            summary = self._store.change(lambda db, _: summarise(db, now=now, midnight=day))
        except StoreError as exc:
            self._notifier.status(f"the store cannot be read: {exc}")
            return
        self._notifier.status(status_line(summary))
