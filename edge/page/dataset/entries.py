"""What the index has of one recording of a dataset: its own row, its events, its effort.

An event of a recording that no trustworthy clock has dated is kept on no day: its time is in a
century before all recordings, a day of it for each recording, in which the hour says how far into
the recording it begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from edge.archive.activity import OF_THE_FILE
from edge.archive.stored import result_of
from edge.clock import rfc3339
from edge.page.dates import NO_DATE
from edge.provenance import Provenance
from edge.replay.formats.jsonl import detection_lines

__all__ = ["EffortPiece", "Event", "effort_of", "events_of", "is_dated", "recording_of"]

UNDATED_DAYS = 300_000  # before 1970; more recordings than these share days
PIECE_S = 600  # of effort: what the page draws of a day
LONGEST_S = 366 * 86_400.0
KINDS: Mapping[str, tuple[type, ...]] = {
    "id": (str,),
    "label": (str, type(None)),
    "start_sample": (int,),
    "end_sample": (int,),
}
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Event:
    """A detection as a recorder's store has it: what a replay would give, and that as JSON."""

    message: Row
    payload: str

    @staticmethod
    def of(message: Row) -> Event:
        """Return the event of a message; raises TypeError or ValueError for one of no sense."""
        for name, kinds in KINDS.items():
            if not isinstance(message[name], kinds):
                raise TypeError(f"{name} is of another type")
        return Event(message=message, payload=json.dumps(message, allow_nan=False))

    def named(self, id: str) -> Event:
        """Return the same event under another id."""
        return Event.of({**self.message, "id": id})


@dataclass(frozen=True, kw_only=True)
class EffortPiece:
    """Some time from `start_utc` on, and the seconds of it that were heard, or why not."""

    start_utc: str
    length_s: float
    heard_s: float
    lost_s: float
    gated_s: float
    dropped_s: float


def is_dated(file: Row) -> bool:
    """Return whether a recorder's own clock, or a person, says when a recording was made."""
    return (
        file["status"] == "heard"
        and file["start_utc"] is not None
        and file["clock_source"] != OF_THE_FILE
    )


def recording_of(file: Row) -> dict[str, Any]:
    """Return the columns of a recording that its row of `files` gives."""
    seconds = {name: float(file[name] or 0.0) for name in ("duration_s", "judged_s", "missing_s")}
    dated = is_dated(file)
    return {
        **seconds,
        "path": file["path"],
        "status": _text(file["status"]) or "failed",
        "reason": _text(file["reason"]) or "",
        "dated": dated,
        "start_utc": rfc3339(file["start_utc"]) if dated else None,
        "clock_source": _text(file["clock_source"]),
        "time_zone": _text(file["time_zone"]),
        "silent_s": _sum(file, "unjudged_dead_s", "unjudged_stuck_s"),
        "detections": int(file["detections"] or 0),
        "channel": _text(file["channel"]) or "mix",
        "size_bytes": None if file["size_bytes"] is None else int(file["size_bytes"]),
        "modified_utc": None if file["modified_utc"] is None else rfc3339(file["modified_utc"]),
        "head_sha256": _text(file["head_sha256"]),
        "etag": _text(file["etag"]),
    }


def events_of(
    file: Row, detections: Sequence[dict[str, Any]], made_by: Provenance, *, number: int
) -> Iterator[Event]:
    """Yield the events of a recording, which has a `number` in the index."""
    result = result_of(dict(file), list(detections), made_by)
    dated = is_dated(file)
    for payload in detection_lines(result, made_by):
        message = {**payload, "site": file["site"]}
        if not dated:
            message |= _undated(payload, number)
            message.pop("start_local", None)
        yield Event.of(message)


def effort_of(file: Row) -> Iterator[EffortPiece]:
    """Yield what became of the sound of a recording that has a date, spread evenly over it."""
    if not is_dated(file):
        return
    length_s = min(max(_sum(file, "duration_s"), _sum(file, "header_s")), LONGEST_S)
    if length_s <= 0:
        return
    fates = {
        "heard_s": _sum(file, "judged_s"),
        "lost_s": _sum(file, "missing_s"),
        "gated_s": _sum(file, "unjudged_dead_s", "unjudged_stuck_s"),
        "dropped_s": _sum(file, "unjudged_short_s"),
    }
    start: datetime = file["start_utc"]
    at_s = start.timestamp()
    end_s = at_s + length_s
    while at_s < end_s:
        next_s = min(end_s, (at_s // PIECE_S + 1) * PIECE_S)
        share = (next_s - at_s) / length_s
        yield EffortPiece(
            start_utc=rfc3339(datetime.fromtimestamp(at_s, timezone.utc)),
            length_s=next_s - at_s,
            **{name: seconds * share for name, seconds in fates.items()},
        )
        at_s = next_s


def _undated(payload: Row, number: int) -> dict[str, str]:
    begins = NO_DATE + timedelta(days=number % UNDATED_DAYS)
    return {
        f"{end}_utc": rfc3339(begins + timedelta(seconds=payload[f"{end}_s"]))
        for end in ("start", "end")
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _sum(file: Row, *names: str) -> float:
    return sum(float(file[name] or 0.0) for name in names)
