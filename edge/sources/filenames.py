"""When a recording began, by the name that a recorder or a phone has given it.

Names carry the time of the recorder's clock, which mostly is local time without its zone:

    20240501_053000.WAV                     AudioMoth, and most others; 20240501_053000T.WAV
    24F319046430B7B1_20240501_053000.WAV    AudioMoth with its number
    5B07C752.WAV                            the first AudioMoths: seconds since 1970, in UTC
    S4A03895_20240501_053000.wav            Song Meter; also 20240501$053000, -0500 behind it
    20240501T053000+1000_REC.flac           Frontier Labs
    5678.240501053000.wav                   SoundTrap
    2024-05-01-birdnet-05:30:00.wav         BirdNET-Pi
    20240501 053000.m4a                     voice memos; 2024-05-01 at 05.30.00, 2024-05-01 05_30
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from edge.sources.times import EPOCH, microseconds, offset_zone

__all__ = ["NameTime", "hexadecimal_time", "name_time"]

TO_THE_SECOND_S, TO_THE_MINUTE_S = 1.0, 60.0
DATE = r"(?<!\d)(?P<year>\d{4})(?P<of_date>[-_.]?)(?P<month>\d\d)(?P=of_date)(?P<day>\d\d)"
BETWEEN = r"(?:[_T$ .-]{0,3}| at |-birdnet-(?:RTSP_\d+-)?)"
TIME = (
    r"(?P<hour>\d\d)(?P<of_time>[-_.:]?)(?P<minute>\d\d)"
    r"(?:(?P=of_time)(?P<second>\d\d)(?P<fraction>\.\d{1,6}(?=[.Z+-]|$))?)?(?!\d)"
)
# Two digits behind a minus are a zone only in a time written by ISO 8601; elsewhere they number
# the parts of a recording.
ZONE = re.compile(
    r"(?P<utc>Z(?![A-Za-z0-9])|[_ -]?(?:UTC|GMT)(?![A-Za-z0-9+-]))"
    r"|[_ ]?(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?(?!\d)"
)
WHOLE = re.compile(DATE + BETWEEN + TIME)
SOUNDTRAP = re.compile(r"\d{3,10}\.(\d{12})(?=\.|$)")
HEXADECIMAL = re.compile(r"(?P<seconds>[0-9A-F]{8})(?:T)?\.\w+", re.IGNORECASE)
# AudioMoths that named files so were sold from 2017 on.
HEXADECIMAL_YEARS = range(2016, 2046)


@dataclass(frozen=True, kw_only=True)
class NameTime:
    """A time in a name, aware where the name has the zone, and how exactly it is written."""

    time: datetime
    precision_s: float = TO_THE_SECOND_S


def name_time(name: str) -> NameTime | None:
    """Return the start time in a file's name, None where there is none."""
    for match in WHOLE.finditer(name):
        found = _time(match, name)
        if found is not None:
            return found
    soundtrap = SOUNDTRAP.match(name)
    if soundtrap:
        return _soundtrap(soundtrap[1])
    return hexadecimal_time(name)


def hexadecimal_time(name: str, *, letters: bool = True) -> NameTime | None:
    """Return the time in an old AudioMoth's name.

    Without `letters` in it the number may be any: it counts only where one knows the recorder.
    """
    match = HEXADECIMAL.fullmatch(name)
    if not match or (letters and match["seconds"].isdecimal()):
        return None
    time = EPOCH + timedelta(seconds=int(match["seconds"], 16))
    return NameTime(time=time) if time.year in HEXADECIMAL_YEARS else None


def _time(match: re.Match[str], name: str) -> NameTime | None:
    if match["second"] is None and not (match["of_date"] and match["of_time"]):
        return None  # four digits behind a date may be a number
    numbers = [match[part] for part in ("year", "month", "day", "hour", "minute")]
    between = name[match.end("day") : match.start("hour")]
    zone = _zone(ZONE.match(name, match.end()), iso=between == "T")
    try:
        year, month, day, hour, minute = map(int, numbers)
        second = int(match["second"] or 0)
        time = datetime(
            year, month, day, hour, minute, second, microseconds(match["fraction"]), zone
        )
    except ValueError:  # a month 13 or an hour 25
        return None
    exact = match["second"] is not None
    return NameTime(time=time, precision_s=TO_THE_SECOND_S if exact else TO_THE_MINUTE_S)


def _zone(match: re.Match[str] | None, *, iso: bool) -> timezone | None:
    if match is None:
        return None
    if match["utc"]:
        return timezone.utc
    if match["minutes"] is None and match["sign"] == "-" and not iso:
        return None
    hours, minutes = int(match["hours"]), int(match["minutes"] or 0)
    if hours > 14 or minutes not in (0, 15, 30, 45):
        return None
    return offset_zone(match["sign"], match["hours"], match["minutes"])


def _soundtrap(digits: str) -> NameTime | None:
    try:
        return NameTime(time=datetime.strptime(f"20{digits}", "%Y%m%d%H%M%S"))
    except ValueError:
        return None
