"""Messages on their way: held in the quiet time, offered to each service until it takes them.

A message goes to each service once. It is tried again with growing waits, and after `EXPIRES` it is
given up and counted: nobody wants the news of the day before yesterday.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from edge.backoff import Backoff
from edge.clock import rfc3339
from edge.notify.notebook import Notebook, time_in
from edge.notify.services import Answer
from edge.notify.wording import Wording, joined_words
from edge.page.place import Place

__all__ = [
    "EXPIRES",
    "Attempt",
    "Draft",
    "add_message",
    "begin_attempt",
    "due",
    "end_attempt",
    "expire",
    "failures",
    "in_flight",
    "lost_attempt",
    "release",
]

EXPIRES = timedelta(hours=6)
FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 900.0
MOST_MESSAGES = 20_000
TEXT_ONLY = 2  # of `plainer`: 0 is with picture and sound, 1 with the picture
TOO_MUCH = (413, 415)
NOT_THE_FILES = (401, 403, 404, 408, 429)  # the service would say so of any message
FAR = timedelta(hours=25)  # no quiet time and no wait is so long: the clock was set back


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A message to be sent: `key` says what it is about, once and for all."""

    key: str
    wording: Wording
    clip: str = ""
    day: date | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A message that is to be offered to a service now."""

    message: int
    service: str
    title: str
    body: str
    clip: str
    plainer: int


def add_message(
    book: Notebook, draft: Draft, *, services: Sequence[str], place: Place, now: datetime
) -> bool:
    """Add a message to each of `services`, within a transaction; return whether it is new.

    What is added in the quiet time is held until that is over.
    """
    quiet = place.config.notify.quiet_time
    free = now if quiet is None else quiet.free_from(now, place.local)
    row = book.db.execute(
        "INSERT OR IGNORE INTO messages (key, title, body, line, clip, day, made_utc, from_utc,"
        " held) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            draft.key,
            draft.wording.title,
            draft.wording.body,
            draft.wording.line,
            draft.clip,
            "" if draft.day is None else draft.day.isoformat(),
            rfc3339(now),
            rfc3339(free),
            free > now,
        ),
    )
    if row.rowcount == 0:
        return False
    for service in services:
        values = (row.lastrowid, service, "waiting")
        book.db.execute("INSERT INTO deliveries VALUES (?, ?, ?, 0, 0)", values)
    _forget_oldest(book, row.lastrowid or 0)
    return True


def _forget_oldest(book: Notebook, newest: int) -> None:
    for table, column in (("messages", "number"), ("deliveries", "message")):
        book.db.execute(f"DELETE FROM {table} WHERE {column} <= ?", (newest - MOST_MESSAGES,))


def release(book: Notebook, *, services: Sequence[str], place: Place, now: datetime) -> None:
    """Let go what the quiet time has held; several become one message."""
    rows = book.db.execute("SELECT * FROM messages WHERE held ORDER BY number").fetchall()
    ripe = [row for row in rows if _reached(row["from_utc"], now)]
    if not ripe:
        return
    with book.transaction():
        numbers = [row["number"] for row in ripe]
        places = ", ".join("?" * len(numbers))
        book.db.execute(f"UPDATE messages SET held = 0 WHERE number IN ({places})", numbers)
        if len(ripe) > 1:
            book.db.execute(
                f"UPDATE deliveries SET state = 'joined' WHERE message IN ({places})", numbers
            )
            words = joined_words([row["line"] for row in ripe], place)
            draft = Draft(key=f"quiet/{numbers[0]}-{numbers[-1]}", wording=words)
            add_message(book, draft, services=services, place=place, now=now)


def due(book: Notebook, service: str, now: datetime) -> Attempt | None:
    """Return what is to be offered to a service now: what was tried least, the oldest first."""
    wait = book.db.execute("SELECT next_utc FROM services WHERE service = ?", (service,)).fetchone()
    if wait is not None and not _reached(wait["next_utc"], now):
        return None
    row = book.db.execute(
        "SELECT message, service, title, body, clip, plainer FROM deliveries"
        " JOIN messages ON messages.number = deliveries.message"
        " WHERE service = ? AND state = 'waiting' AND NOT held ORDER BY tries, message LIMIT 1",
        (service,),
    ).fetchone()
    return None if row is None else Attempt(**dict(row))


def begin_attempt(book: Notebook, attempt: Attempt) -> bool:
    """Note that a message is about to be sent; return False where it is so no longer."""
    with book.transaction():
        changed = book.db.execute(
            "UPDATE deliveries SET state = 'sending', tries = tries + 1"
            " WHERE message = ? AND service = ? AND state = 'waiting'",
            (attempt.message, attempt.service),
        )
        return changed.rowcount > 0


def end_attempt(
    book: Notebook, attempt: Attempt, answer: Answer, *, files: int, now: datetime
) -> None:
    """Note what became of it; what was not taken waits, and so does its service."""
    begun = any(200 <= status < 300 for status in answer.statuses)
    last = answer.statuses[-1] if answer.statuses else 0
    # Some services are sent the text first, and then refuse the sound.
    taken = answer.taken or (begun and files > 0 and last in TOO_MUCH)
    plainer = attempt.plainer
    if files and 400 <= last < 500 and last not in NOT_THE_FILES:
        plainer = min(plainer + 1, TEXT_ONLY)
    with book.transaction():
        _note(book, attempt, "done" if taken else "waiting", plainer)
        book.count_one("sent" if taken else "failed")
        if taken:
            book.db.execute("DELETE FROM services WHERE service = ?", (attempt.service,))
        else:
            _wait(book, attempt.service, now)


def in_flight(book: Notebook) -> list[Attempt]:
    """Return what is being sent, or was when its courier ended."""
    rows = book.db.execute(
        "SELECT message, service, title, body, clip, plainer FROM deliveries"
        " JOIN messages ON messages.number = deliveries.message WHERE state = 'sending'"
    )
    return [Attempt(**dict(row)) for row in rows]


def lost_attempt(book: Notebook, attempt: Attempt, now: datetime) -> None:
    """Note that nobody knows what became of it: it is sent again, as text alone."""
    with book.transaction():
        _note(book, attempt, "waiting", TEXT_ONLY)
        book.count_one("failed")
        _wait(book, attempt.service, now)


def expire(book: Notebook, now: datetime) -> int:
    """Give up what has waited too long; return how many that are."""
    rows = book.db.execute(
        "SELECT message, service, from_utc FROM deliveries"
        " JOIN messages ON messages.number = deliveries.message WHERE state = 'waiting'"
    ).fetchall()
    old = [row for row in rows if (at := time_in(row["from_utc"])) is None or now - at > EXPIRES]
    if old:
        with book.transaction():
            for row in old:
                book.db.execute(
                    "UPDATE deliveries SET state = 'expired' WHERE message = ? AND service = ?",
                    (row["message"], row["service"]),
                )
            book.count_one("expired", len(old))
    return len(old)


def _note(book: Notebook, attempt: Attempt, state: str, plainer: int) -> None:
    book.db.execute(
        "UPDATE deliveries SET state = ?, plainer = ? WHERE message = ? AND service = ?",
        (state, plainer, attempt.message, attempt.service),
    )


def failures(book: Notebook, service: str) -> int:
    """Return how often a service has not taken a message since it last took one."""
    row = book.db.execute("SELECT tries FROM services WHERE service = ?", (service,)).fetchone()
    return 0 if row is None else int(row["tries"])


def _wait(book: Notebook, service: str, now: datetime) -> None:
    tries = failures(book, service)
    backoff = Backoff(first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
    wait_s = [backoff.next_s() for _ in range(min(tries, 10) + 1)][-1]
    next_utc = rfc3339(now + timedelta(seconds=wait_s))
    book.db.execute(
        "INSERT OR REPLACE INTO services VALUES (?, ?, ?)", (service, tries + 1, next_utc)
    )


def _reached(text: str, now: datetime) -> bool:
    at = time_in(text)
    return at is None or at <= now or at - now > FAR
