"""Sample index to UTC.

Wall time is derived from the sample index, never added up, and says where its start comes from.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal, cast

from edge.errors import ConfigError
from edge.sources.riff import parse_timestamp, start_tags

__all__ = ["Clock", "ClockSource", "file_clock", "parse_start", "rfc3339"]

# `system` is a live recorder's own clock.
ClockSource = Literal["option", "guano", "audiomoth", "bext", "name", "mtime", "system"]

TO_THE_SECOND_S = 1.0
ANY_ZONE_S = 14 * 3600.0  # a local time of an unknown zone is at most so far from UTC
FILE_TIME_S = 24 * 3600.0  # what the time of a file may be off, if copies have kept it
UNDATED_S = 100 * 365.25 * 86_400.0  # of a clock that was never set: the century at least
YEARS = range(1970, 2200)

# AudioMoth: 20240501_053000.WAV, optionally T for triggered, in UTC; with its 16-digit device id
# before it. Song Meter: PREFIX_20240501_053000.wav, local time, with the zone appended by some
# models (-0500).
NAME = re.compile(
    r"(?P<prefix>.*?)(?<!\d)(?P<date>\d{8})[_T$](?P<time>\d{6})"
    r"(?P<fraction>\.\d{1,6})?(?P<zone>Z|[+-]\d{4})?(?!\d)"
)
AUDIOMOTH_PREFIX = re.compile(r"(?:[0-9A-F]{16}_)?")


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


def file_clock(
    path: str, *, sample_rate_hz: int, duration_s: float | None, start: datetime | None = None
) -> Clock:
    """Return the clock of a recording, from the best source there is.

    That is `start`, else its metadata, else its name, else the time of the file, which is its end.
    """
    if start is not None:
        return Clock(
            start_utc=start,
            sample_rate_hz=sample_rate_hz,
            source="option",
            synced=True,
            uncertainty_s=0.0,
        )
    source, time, uncertainty_s = _start(path, duration_s)
    return Clock(
        start_utc=time.astimezone(timezone.utc),
        sample_rate_hz=sample_rate_hz,
        source=source,
        synced=False,
        uncertainty_s=uncertainty_s,
    )


def _start(path: str, duration_s: float | None) -> tuple[ClockSource, datetime, float]:
    """Return the start by the file itself, where it is from, and its uncertainty in seconds."""
    source, time = _recorded(path)
    if time is None:
        written = datetime.fromtimestamp(os.stat(path).st_mtime, timezone.utc)
        return "mtime", written - timedelta(seconds=duration_s or 0.0), FILE_TIME_S
    if time.tzinfo is None:
        return source, time.replace(tzinfo=timezone.utc), ANY_ZONE_S
    return source, time, TO_THE_SECOND_S


def _recorded(path: str) -> tuple[ClockSource, datetime | None]:
    """Return the start by metadata or name, aware where the zone is known."""
    for source, time in start_tags(path):
        if time.year in YEARS:
            return cast(ClockSource, source), time
    return "name", name_time(os.path.basename(path))


def name_time(name: str) -> datetime | None:
    """Return the start time in an AudioMoth or Song Meter file name, None for other names."""
    match = NAME.match(name)
    if not match:
        return None
    date = match["date"]
    time = match["time"]
    zone = match["zone"]
    if zone is None and AUDIOMOTH_PREFIX.fullmatch(match["prefix"]):
        zone = "Z"
    parsed = parse_timestamp(
        f"{date[:4]}-{date[4:6]}-{date[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}"
        f"{match['fraction'] or ''}{zone or ''}"
    )
    return parsed if parsed is not None and parsed.year in YEARS else None
