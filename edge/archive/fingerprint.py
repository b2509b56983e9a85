"""By what a recording is known again: whether it is the one that was heard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from edge.archive.bounds import ANY_TIMES

__all__ = ["HEAD_BYTES", "Fingerprint", "fingerprint_in", "fingerprint_of", "usual_time"]

HEAD_BYTES = 65_536  # a recorder's header, with the time of the recording, and the first sound
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """Size, time of the last change, and sha256 of the first 64 KiB; in an object store its etag
    instead of the two.
    """

    size_bytes: int
    modified_utc: datetime | None
    head_sha256: str | None = None
    etag: str | None = None

    def cells(self) -> dict[str, Any]:
        """Return it as cells of the table `files`."""
        return {
            "size_bytes": self.size_bytes,
            "modified_utc": self.modified_utc,
            "head_sha256": self.head_sha256,
            "etag": self.etag,
        }


def fingerprint_in(row: Mapping[str, Any]) -> Fingerprint | None:
    """Return the fingerprint in a row of `files`, None of a file that could not be opened."""
    if row.get("size_bytes") is None:
        return None
    cells: dict[str, Any] = {field.name: row.get(field.name) for field in fields(Fingerprint)}
    return Fingerprint(**cells)


def fingerprint_of(path: str) -> Fingerprint | None:
    """Return the fingerprint of a file, None where none can be read there."""
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return None
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            head = hashlib.sha256(file.read(HEAD_BYTES)).hexdigest()
    except (OSError, ValueError):
        return None
    return Fingerprint(
        size_bytes=status.st_size, modified_utc=_time(status.st_mtime_ns), head_sha256=head
    )


def usual_time(time: datetime) -> datetime | None:
    """Return a time, None for one that no table may have."""
    first, last = ANY_TIMES
    return time if first <= time <= last else None


def _time(since_epoch_ns: int) -> datetime | None:
    """Return a file's time to the microsecond, None for one that no table may have."""
    try:
        return usual_time(EPOCH + timedelta(microseconds=since_epoch_ns // 1000))
    except OverflowError:
        return None
