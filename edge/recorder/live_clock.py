"""When a live sample was captured: sample index -> time since boot -> UTC.

Jumps of the wall clock do not matter. Time since boot never jumps, so that is what samples
are tied to. UTC is a constant offset from it: taken at the start, taken once more when a time
service first vouches for the wall clock, and then left alone. What the wall clock does later shows
in `offset_s`.
"""

from __future__ import annotations

import bisect
import ctypes
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol

from edge.clock import EPOCH, Clock
from edge.heads.holding import TimeNow
from edge.store.store import Dating

__all__ = ["LiveClock", "SystemWorld", "TimeWorld", "WallState"]

CAPTURE_S = 0.1  # buffers of card, server and callback, which are not reported
# without a time service and a battery, a clock may stand where it was last switched off
UNSYNCED_S = 366 * 86_400.0
# crystals part by some milliseconds a minute; far less than a hop, so that events keep their order
REANCHOR_S = 0.01
ANCHORS = 4096
SETTLED_S = 600.0  # of a machine: what no time service has set by then, none does
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


@dataclass(frozen=True, kw_only=True)
class WallState:
    """Whether a time service keeps the wall clock, and within how many seconds."""

    synced: bool
    uncertainty_s: float


class TimeWorld(Protocol):
    """The machine's clocks. Any thread."""

    def boot_id(self) -> str:
        """Return a name that changes at each start of the machine."""
        ...

    def boottime_us(self) -> int:
        """Return microseconds since the machine started, time asleep included."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds of the clock that stamps audio."""
        ...

    def utc_us(self) -> int:
        """Return the wall clock: whole microseconds since 1970."""
        ...

    def wall_state(self) -> WallState:
        """Return whether the wall clock can be believed."""
        ...


class LiveClock:
    """UTC of the samples of one stream.

    The pipeline's thread calls `captured`, `poll` and `at`; the rest may be read from any.
    """

    def __init__(self, *, sample_rate_hz: int = 1, world: TimeWorld | None = None) -> None:
        self._world = world or SystemWorld()
        self.zone: tzinfo | None = None  # of the site, for display
        self._rate_hz = sample_rate_hz
        self._lock = threading.Lock()
        self.boot_id = self._world.boot_id()
        self.started_us = self._world.boottime_us()
        state = self._world.wall_state()
        self.synced = state.synced
        self.uncertainty_s = _uncertainty(state)
        self._offset_us = self._world.utc_us() - self.started_us
        # Where the sample index stood, in microseconds since boot.
        self._samples = [0]
        self._times_us = [self.started_us]

    @property
    def offset_s(self) -> float:
        """How far the wall clock is now from the time we give to events; not 0 after a jump."""
        return (self._world.utc_us() - self._world.boottime_us() - self._offset_us) * 1e-6

    def begin(self, sample_rate_hz: int) -> None:
        """Start a new stream at sample 0; the offset from UTC stays."""
        with self._lock:
            self._rate_hz = sample_rate_hz
            self._samples, self._times_us = [0], [self._world.boottime_us()]

    def captured(self, sample: int, monotonic_s: float) -> None:
        """Note at which monotonic time a sample was captured.

        A new anchor is set where the old one has drifted off; times that were given stay.
        """
        us = self._world.boottime_us() - round((self._world.monotonic_s() - monotonic_s) * 1e6)
        with self._lock:
            if sample == 0:
                self._times_us[0] = us  # the first sample of all, before anything was dated
            if abs(us - self._time_us(sample)) < REANCHOR_S * 1e6 or sample <= self._samples[-1]:
                return
            self._samples.append(sample)
            self._times_us.append(us)
            del self._samples[1:-ANCHORS], self._times_us[1:-ANCHORS]

    def at(self, sample: int) -> Clock:
        """Return the clock by which an event that begins at `sample` is dated.

        It is always the same for the same sample and offset.
        """
        with self._lock:
            us = self._time_us(sample) + self._offset_us
            synced, uncertainty_s = self.synced, self.uncertainty_s
        start = EPOCH + timedelta(microseconds=us - _duration_us(sample, self._rate_hz))
        return Clock(
            start_utc=start,
            sample_rate_hz=self._rate_hz,
            source="system",
            synced=synced,
            uncertainty_s=uncertainty_s,
            zone=self.zone,
        )

    def at_end(self, samples: int) -> Clock:
        """Return a clock whose `samples` first samples end where this stream begins."""
        clock = self.at(0)
        length = timedelta(microseconds=_duration_us(samples, self._rate_hz))
        return replace(clock, start_utc=clock.start_utc - length)

    def order_time(self) -> TimeNow:
        """Return the time by which an order holds; settled once the machine runs for long."""
        synced, now_s = self._world.wall_state().synced, self._world.utc_us() * 1e-6
        settled = self._world.boottime_us() >= SETTLED_S * 1e6
        return TimeNow(now_s=now_s, synced=synced, settled=settled)

    def began_utc_us(self) -> int:
        """Return when this stream began, in microseconds since 1970."""
        with self._lock:
            return self._time_us(0) + self._offset_us

    def corrected(self, clock: Clock, dating: Dating) -> tuple[Clock, Dating]:
        """Return what was dated by `dating` as it is dated now, if the clock has been set since."""
        now = self.dating()
        if dating.synced or not now.synced or dating.boot_id != now.boot_id:
            return clock, dating
        moved = clock.start_utc + timedelta(microseconds=now.offset_us - dating.offset_us)
        set_now = replace(clock, start_utc=moved, synced=True, uncertainty_s=now.uncertainty_s)
        return set_now, now

    def dating(self) -> Dating:
        """Return how rows written now are dated."""
        with self._lock:
            return Dating(
                boot_id=self.boot_id,
                offset_us=self._offset_us,
                synced=self.synced,
                uncertainty_s=self.uncertainty_s,
            )

    def now_utc(self) -> datetime:
        """Return the present, by the same offset as the events."""
        return EPOCH + timedelta(microseconds=self._world.boottime_us() + self._offset_us)

    def poll(self) -> bool:
        """Look at the system's clock.

        Returns True only once, when it became trustworthy and the offset changed with it.
        """
        state = self._world.wall_state()
        with self._lock:
            if self.synced:
                if state.synced:
                    self.uncertainty_s = _uncertainty(state)
                return False
            if not state.synced:
                return False
            self.synced, self.uncertainty_s = True, _uncertainty(state)
            self._offset_us = self._world.utc_us() - self._world.boottime_us()
            return True

    def _time_us(self, sample: int) -> int:
        i = max(0, bisect.bisect_right(self._samples, sample) - 1)
        return self._times_us[i] + _duration_us(sample - self._samples[i], self._rate_hz)


class SystemWorld:
    """The clocks of Linux."""

    def boot_id(self) -> str:
        """See `TimeWorld.boot_id`."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def boottime_us(self) -> int:
        """See `TimeWorld.boottime_us`."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def monotonic_s(self) -> float:
        """See `TimeWorld.monotonic_s`."""
        return time.monotonic()

    def utc_us(self) -> int:
        """See `TimeWorld.utc_us`."""
        return time.time_ns() // 1000

    def wall_state(
        self, call: Callable[[ctypes.Array[ctypes.c_char]], int] | None = None
    ) -> WallState:
        """Return the kernel's own view, as any time service leaves it (adjtimex(2)).

        Where there is none, it is the mark of systemd-timesyncd.
        """
        # struct timex with its spare fields; all zero asks and changes nothing
        timex = ctypes.create_string_buffer(256)
        state = (call or _adjtimex)(timex)
        if state < 0:
            return WallState(synced=SYNCHRONISED.exists(), uncertainty_s=1.0)
        word = ctypes.sizeof(ctypes.c_long)
        # after modes (padded), offset, freq
        maxerror_us = ctypes.c_long.from_buffer(timex, 3 * word).value
        return WallState(synced=state != _TIME_ERROR, uncertainty_s=maxerror_us * 1e-6)


_TIME_ERROR = 5


def _adjtimex(timex: ctypes.Array[ctypes.c_char]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.adjtimex(timex)) if hasattr(libc, "adjtimex") and os.name == "posix" else -1


def _uncertainty(state: WallState) -> float:
    return round(CAPTURE_S + state.uncertainty_s, 3) if state.synced else UNSYNCED_S


def _duration_us(samples: int, rate_hz: int) -> int:
    """Return microseconds, rounded in whole arithmetic as in `Clock.utc`, which undoes it."""
    return (2_000_000 * samples + rate_hz) // (2 * rate_hz)
