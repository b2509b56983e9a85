"""Events as the store has them, for readers: which there are, and what a message says of one.

A memory card may have changed any byte of a message, so that every field is looked at before it is
used; a row that says nothing any more is passed over.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from edge.bundle.labels import UNKNOWN, check_label
from edge.clock import rfc3339
from edge.errors import SpecError, one_line
from edge.store.dating import UNDATABLE, time_of
from edge.store.payloads import parsed
from edge.types import Score

__all__ = ["Question", "StoredEvent", "event_of", "find", "known_labels", "neighbours", "select"]

LATEST = "9999"


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """What is known of an event; `payload` is its last message, whole.

    `number` grows with age in the store. What the message does not say is None or empty.
    """

    number: int
    id: str
    state: str
    start: datetime
    end: datetime
    label: str | None
    common_name: str
    scientific_name: str
    kind: str
    nearest: str
    score: float
    novelty: float
    probability: float | None
    animal: float | None
    top: tuple[Score, ...]
    clip: str | None
    payload: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called in front of people."""
        if self.label is None:
            return f"{UNKNOWN} (nearest: {self.nearest})" if self.nearest else UNKNOWN
        return self.common_name or self.label

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return (self.end - self.start).total_seconds()

    def text(self, name: str) -> str:
        """Return a field of the message that is text, "" for anything else."""
        return _text(self.payload.get(name))

    def number_of(self, name: str) -> float | None:
        """Return a field of the message that is a number, None for anything else."""
        return _number(self.payload.get(name))


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which events: of a time, from `since` to before `until`; of a label; unknown ones."""

    since: datetime | None = None
    until: datetime | None = None
    label: str | None = None
    unknown: bool = False

    def where(self) -> tuple[str, list[object]]:
        """Return the condition in SQL with its parameters; the indexes by time answer it."""
        since = "" if self.since is None else rfc3339(self.since)
        until = LATEST if self.until is None else rfc3339(self.until)
        parts, values = ["start_utc >= ? AND start_utc < ?"], [since, until]
        if self.label is not None:
            parts.append("label = ?")
            values.append(self.label)
        if self.unknown:
            parts.append("label IS NULL")
        return " AND ".join(parts), list[object](values)


def select(
    db: sqlite3.Connection,
    question: Question,
    *,
    newest_first: bool = False,
    limit: int = -1,
    offset: int = 0,
) -> Iterator[StoredEvent]:
    """Yield the events that are asked for, in the order of their starts."""
    where, values = question.where()
    order = "DESC" if newest_first else "ASC"
    rows = db.execute(
        f"SELECT number, payload FROM events WHERE {where} "
        f"ORDER BY start_utc {order}, number {order} LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    for row in rows:
        event = event_of(row["number"], row["payload"])
        if event is not None:
            yield event


def find(db: sqlite3.Connection, id: str) -> StoredEvent | None:
    """Return the event of an id, None where there is none that can be read."""
    row = db.execute("SELECT number, payload FROM events WHERE id = ?", (id,)).fetchone()
    return None if row is None else event_of(row["number"], row["payload"])


def neighbours(db: sqlite3.Connection, event: StoredEvent, count: int) -> list[StoredEvent]:
    """Return up to `count` events before one and as many after it, in the order of time."""
    at = rfc3339(event.start)
    found: list[StoredEvent] = []
    for sign, order in (("<", "DESC"), (">", "ASC")):
        rows = db.execute(
            f"SELECT number, payload FROM events WHERE start_utc {sign}= ? AND number <> ? "
            f"ORDER BY start_utc {order} LIMIT ?",
            (at, event.number, count),
        )
        some = [event_of(row["number"], row["payload"]) for row in rows]
        found += [one for one in some if one is not None]
    once = {one.id: one for one in found}
    return sorted(once.values(), key=lambda one: (one.start, one.number))


def known_labels(db: sqlite3.Connection) -> dict[str, str]:
    """Return every label of the store with its name for people: its newest event's."""
    found: dict[str, str] = {}
    label: object = ""
    while True:
        # From one label to the next: a step in the index each, however many events there are.
        row = db.execute(
            "SELECT label FROM latest WHERE label > ? ORDER BY label LIMIT 1", (label,)
        ).fetchone()
        if row is None:
            return found
        label = row["label"]
        newest = db.execute(
            "SELECT number, payload FROM events WHERE label = ? ORDER BY start_utc DESC LIMIT 1",
            (label,),
        ).fetchone()
        event = None if newest is None else event_of(newest["number"], newest["payload"])
        if event is not None and event.label is not None:
            found[event.label] = event.name


def event_of(number: int, payload: object) -> StoredEvent | None:
    """Return the event of a stored message, None where damage has left none."""
    content = parsed(payload)
    if content is None:
        return None
    try:
        start, end = (_time(content[name]) for name in ("start_utc", "end_utc"))
    except UNDATABLE:
        return None
    id, label = content.get("id"), _label(content.get("label"))
    if not (isinstance(id, str) and id and id.isprintable()) or (
        label is None and content.get("label") is not None
    ):
        return None
    return StoredEvent(
        number=number,
        id=id,
        state=_text(content.get("state")),
        start=start,
        end=max(start, end),
        label=label,
        common_name=_text(content.get("common_name")),
        scientific_name=_text(content.get("scientific_name")),
        kind=_text(content.get("kind")),
        nearest=_label(content.get("nearest")) or "",
        score=_number(content.get("score")) or 0.0,
        novelty=_number(content.get("novelty")) or 0.0,
        probability=_number(content.get("probability")),
        animal=_number(content.get("animal")),
        top=tuple(_scores(content.get("top"))),
        clip=_text(content.get("clip")) or None,
        payload=content,
    )


def _time(text: Any) -> datetime:
    time = time_of(text)
    if time.tzinfo is None:
        raise ValueError("has no zone")
    return time.astimezone(timezone.utc)


def _label(value: object) -> str | None:
    try:
        return check_label(value)
    except SpecError:
        return None


def _text(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _scores(value: object) -> Iterator[Score]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            label, score = _label(one.get("label")), _number(one.get("score"))
            if label is not None and score is not None:
                yield Score(label=label, score=score)
