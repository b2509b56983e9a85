"""Sample index to UTC.

Wall time is derived from the sample index, never added up, and says where its start comes from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from edge.errors import ConfigError, shown
from edge.sources.filenames import NameTime, hexadecimal_time, name_time
from edge.sources.header import AudioFacts
from edge.sources.metadata import parse_timestamp
from edge.sources.times import EPOCH, offset_zone

__all__ = ["EPOCH", "Clock", "ClockSource", "file_clock", "parse_start", "parse_zone", "rfc3339"]

# `system` is a live recorder's own clock.
ClockSource = Literal["option", "guano", "audiomoth", "bext", "name", "mtime", "system"]

TO_THE_SECOND_S = 1.0
SUMMER_TIME_S = 3600.0  # a local time that the clocks' change makes twice, or never
ANY_ZONE_S = 14 * 3600.0  # a local time of an unknown zone is at most so far from UTC
FILE_TIME_S = 24 * 3600.0  # what the time of a file may be off, if copies have kept it
UNDATED_S = 100 * 365.25 * 86_400.0  # of a clock that was never set: the century at least
YEARS = range(1970, 2200)
OFFSET = re.compile(r"(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?")


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The UTC of a stream's samples.

    `synced` only when a person or a time service vouches for the start, which is known to within
    `uncertainty_s`. `zone` is that of the place where it is known; it is only for display.
    """

    start_utc: datetime
    sample_rate_hz: int
    source: ClockSource
    synced: bool
    uncertainty_s: float
    zone: tzinfo | None = None

    @property
    def dated(self) -> bool:
        """Whether `start_utc` is a date; it is none where the recorder's clock was never set."""
        return self.uncertainty_s < UNDATED_S

    def utc(self, sample: int) -> datetime:
        """Return the time of a sample, in integers, so that it is the same from any block."""
        return self.start_utc + timedelta(
            microseconds=(2_000_000 * sample + self.sample_rate_hz) // (2 * self.sample_rate_hz)
        )

    def local(self, sample: int) -> datetime | None:
        """Return the local time of a sample, None where the zone or the date is not known."""
        return self.utc(sample).astimezone(self.zone) if self.zone and self.dated else None


def rfc3339(time: datetime) -> str:
    """Return `time` in UTC, with microseconds and Z."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_start(text: str) -> datetime:
    """Parse the value of `--start`, RFC 3339 with its zone; raises `ConfigError`."""
    time = parse_timestamp(text)
    if time is None or time.tzinfo is None or time.year not in YEARS:
        raise ConfigError(
            f"--start: '{text}' is not a time with its zone, such as 2024-05-01T05:30:00Z or "
            "2024-05-01T05:30:00-05:00"
        )
    return time.astimezone(timezone.utc)


@lru_cache(maxsize=256)  # what zones there are is found by a walk over hundreds of files
def parse_zone(text: str) -> tzinfo:
    """Parse the name of a zone, such as Europe/Vienna, or an offset; raises ValueError."""
    offset = OFFSET.fullmatch(text)
    if offset and int(offset["hours"]) <= 14 and int(offset["minutes"] or 0) < 60:
        return offset_zone(offset["sign"], offset["hours"], offset["minutes"])
    if text not in available_timezones():
        raise ValueError(f"{shown(text)} is not a time zone, such as Europe/Vienna, UTC or +10:00")
    return ZoneInfo(text)


def file_clock(
    facts: AudioFacts,
    *,
    sample_rate_hz: int,
    start: datetime | None = None,
    zone: tzinfo | None = None,
) -> Clock:
    """Return the clock of a recording, from the best source there is.

    That is `start`, else its metadata, else its name, else the time of the file, which is its end.
    A time without a zone is local time in `zone`; where that is not given, it may be any. What the
    recorder says before its clock was ever set is no date.
    """
    if start is not None:
        return Clock(
            start_utc=start,
            sample_rate_hz=sample_rate_hz,
            source="option",
            synced=True,
            uncertainty_s=0.0,
            zone=zone,
        )
    source, found = _start(facts)
    time, uncertainty_s = _utc(found, zone)
    never_set = _never_set(found.time)
    return Clock(
        start_utc=time,
        sample_rate_hz=sample_rate_hz,
        source=source,
        synced=False,
        uncertainty_s=UNDATED_S if never_set else uncertainty_s,
        zone=zone or _written_zone(found.time),
    )


def _start(facts: AudioFacts) -> tuple[ClockSource, NameTime]:
    """Return the start by the file itself, and where it is from.

    A clock that was never set counts only where nothing better is written; the time of the file is
    not better, it was taken from the same clock or from a later copy.
    """
    never_set: tuple[ClockSource, NameTime] | None = None
    for source, found in _written(facts):
        if _never_set(found.time):
            never_set = never_set or (source, found)
        elif found.time.year in YEARS:
            return source, found
    return never_set or ("mtime", _by_file_time(facts))


def _written(facts: AudioFacts) -> Iterator[tuple[ClockSource, NameTime]]:
    """Yield the start times that a recorder has written, the most trusted first."""
    for source, time in facts.metadata.starts():
        yield cast(ClockSource, source), NameTime(time=time)
    name = os.path.basename(facts.path)
    named = name_time(name)
    if named is None and facts.metadata.from_audiomoth:
        named = hexadecimal_time(name, letters=False)
    if named is not None:
        yield "name", named


def _by_file_time(facts: AudioFacts) -> NameTime:
    """Return when the file's time says that the recording began."""
    try:
        written = datetime.fromtimestamp(os.stat(facts.path).st_mtime, timezone.utc)
        begun = written - timedelta(seconds=facts.duration_s or 0.0)
    except (OverflowError, ValueError):  # the year 14645: damage, no date
        return NameTime(time=EPOCH)
    # A header may announce centuries, too.
    if written.year not in YEARS or begun.year not in YEARS or _never_set(written):
        return NameTime(time=EPOCH)
    return NameTime(time=begun, precision_s=FILE_TIME_S)


def _utc(found: NameTime, zone: tzinfo | None) -> tuple[datetime, float]:
    """Return a time in UTC, and its uncertainty in seconds."""
    time = found.time
    if time.tzinfo is not None:
        return time.astimezone(timezone.utc), found.precision_s
    if zone is None:
        return time.replace(tzinfo=timezone.utc), ANY_ZONE_S
    local = time.replace(tzinfo=zone)
    doubtful = local.utcoffset() != local.replace(fold=1).utcoffset()
    spread_s = SUMMER_TIME_S if doubtful else 0.0
    return local.astimezone(timezone.utc), found.precision_s + spread_s


def _written_zone(time: datetime) -> tzinfo | None:
    """Return the zone that a recorder has written beside its time; UTC says nothing of a place."""
    return time.tzinfo if time.utcoffset() else None


def _never_set(time: datetime) -> bool:
    """Return whether a clock shows this before it is set: years count from 1970, 1980 or 2000."""
    return time.year == 1970 or (time.year in (1980, 2000) and time.month == 1)
