"""Enters listening effort into the ledger; minutes that the disk refuses wait in memory."""

from __future__ import annotations

from collections.abc import Iterable

from edge.clock import Clock, rfc3339
from edge.errors import StoreError
from edge.rate_limited_log import RateLimitedLog
from edge.recorder.backlog import Backlog, WaitingMinute
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.store.effort import EffortMinute, unknown_minute
from edge.store.ledger import LedgerEnd, find_end, ledger_end, note_minute
from edge.store.store import Dating, Store
from edge.wire import effort_payload

__all__ = ["LedgerKeeper"]


class LedgerKeeper:
    """Stores the minutes of one stream of `device`. Used by the pipeline's thread."""

    def __init__(
        self,
        device: str,
        *,
        store: Store,
        clock: LiveClock,
        metrics: Metrics,
        rate_limited: RateLimitedLog,
        backlog: Backlog,
    ) -> None:
        self._device = device
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._rate_limited = rate_limited
        self._backlog = backlog
        self._stream = ""
        # Where the ledger ended before this stream, until the time since then is entered.
        self._before: LedgerEnd | None = None
        self._before_known = False

    def begin(self, stream: str) -> None:
        """Note the name of the stream that is recorded from now on."""
        self._stream = stream

    def keep(self, minutes: Iterable[EffortMinute]) -> None:
        """Enter minutes into the ledger."""
        for minute in minutes:
            clock = self._clock.at(minute.start_sample)
            self._wait(minute, clock, self._stream)
            self._backlog.ledger_end = ledger_end(
                clock.utc(minute.end_sample), self._clock.dating()
            )
        self.store_waiting()

    def note(self, minute: EffortMinute | None) -> None:
        """Note what is known of the minute that is not over."""
        if minute is None or not self._before_known:
            return  # what was noted by the recorder before is not entered yet
        start_utc = rfc3339(self._clock.at(minute.start_sample).utc(minute.start_sample))
        dating = self._clock.dating()
        try:
            note_minute(
                self._store, minute, start_utc=start_utc, stream=self._stream, dating=dating
            )
        except StoreError as exc:
            self._rate_limited.warning("minutes", f"{exc}; the effort ledger is not up to date")

    def enter_unknown(self) -> None:
        """Enter the time since the end of the ledger as unknown, once this stream has begun."""
        if not self._before_known:
            self._find_end()
        if self._before is None:
            return
        dating = self._clock.dating()
        missing_us = self._before.until_us(self._clock.began_utc_us(), dating)
        if missing_us is None and not dating.synced:
            return  # the machine was started anew, and its clock is not set yet
        self._before = None
        clock = self._clock.at(0)
        samples = round((missing_us or 0) * clock.sample_rate_hz / 1e6)
        if samples > 0:
            minute = unknown_minute(samples, clock.sample_rate_hz)
            self._metrics.unknown(minute.seconds("unknown"))
            self._wait(minute, self._clock.at_end(samples), f"{self._stream}|before")
            self.store_waiting()

    def _find_end(self) -> None:
        """Find where the ledger ends: in memory after a reload, in the store after a start."""
        end, last = self._backlog.ledger_end, None
        if end is None:
            try:
                end, last = find_end(self._store)
            except StoreError as exc:
                self._rate_limited.warning("minutes", f"{exc}; the effort ledger waits")
                return
        self._before, self._before_known = end, True
        if last is not None:  # a killed recorder had begun it
            self._wait(last.minute, last.clock, last.stream, last.dating)

    def store_waiting(self) -> None:
        """Store the minutes that wait, oldest first; what fails stays for the next time."""
        minutes = self._backlog.minutes
        while minutes and self._before_known:
            waiting = minutes[0]
            clock, dating = self._clock.corrected(waiting.clock, waiting.dating)
            payload = effort_payload(
                waiting.minute, device=waiting.device, boot_id=dating.boot_id, clock=clock
            )
            try:
                self._store.record_effort(
                    waiting.minute, payload, stream=waiting.stream, dating=dating
                )
            except StoreError as exc:
                self._metrics.store_error()
                self._backlog.refused()
                text = f"{exc}; {len(minutes)} minutes of the ledger wait in memory"
                self._rate_limited.warning("minutes", text)
                return
            minutes.popleft()
        if not self._backlog.rows:
            self._backlog.taken()

    def _wait(
        self, minute: EffortMinute, clock: Clock, stream: str, dating: Dating | None = None
    ) -> None:
        waiting = WaitingMinute(
            minute=minute,
            stream=stream,
            clock=clock,
            dating=dating or self._clock.dating(),
            device=self._device,
        )
        if self._backlog.add_minute(waiting) is not None:
            text = "a minute of the effort ledger is lost: the store has failed for too long"
            self._rate_limited.error("lost minutes", text)
