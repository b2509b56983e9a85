"""What the times in names and metadata are made of."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

__all__ = ["EPOCH", "microseconds", "offset_zone"]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def offset_zone(sign: str, hours: str, minutes: str | None) -> timezone:
    """Return the zone that is written as an offset from UTC; raises ValueError beyond a day."""
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)


def microseconds(fraction: str | None) -> int:
    """Return a written fraction of a second, with its point."""
    return int((fraction or ".0")[1:7].ljust(6, "0"))
