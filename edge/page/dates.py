"""Times of the page: those that no clock vouches for are in a century of their own, and never shown
as dates.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from edge.clock import rfc3339

__all__ = ["NO_DATE", "date_text", "dated_message", "is_date"]

NO_DATE = datetime(1000, 1, 1, tzinfo=timezone.utc)
FIRST_YEAR = 1970  # that of the first clock of a recorder


def is_date(at: datetime) -> bool:
    """Return whether a time of an event is one, and not only a place in its recording."""
    return at.year >= FIRST_YEAR


def date_text(at: datetime) -> str:
    """Return a time in RFC 3339, empty where it is no date."""
    return rfc3339(at) if is_date(at) else ""


def dated_message(message: Mapping[str, Any], start: datetime) -> dict[str, Any]:
    """Return a message of an event as others see it: with null for times that are no dates."""
    return {**message} if is_date(start) else {**message, "start_utc": None, "end_utc": None}
