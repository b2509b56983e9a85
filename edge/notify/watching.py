"""Looks into the store for what people are to be told of, and makes messages of it.

Events are found by their times, so that it does not matter which store they are in: a restored one,
a fresh one, one whose oldest rows have gone. An event is judged once, when it has ended: then it
has its sound. One that ended more than six hours ago is only remembered.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import cast

from edge.clock import rfc3339
from edge.errors import UserError
from edge.notify.conditions import FAULTS, Course, Fault, faults_now, is_deaf, next_course
from edge.notify.notebook import Notebook
from edge.notify.outgoing import EXPIRES, Draft, add_message
from edge.notify.rules import UNTOLD, Names, Rule, Verdict, is_sure, judge
from edge.notify.wording import fault_words, words_of
from edge.page.place import Place
from edge.rate_limited_log import RateLimitedLog
from edge.store.events import Question, StoredEvent, find, known_labels, select
from edge.store.reading import reading
from edge.store.summary import Summary, summarise

__all__ = ["Watch", "Watcher", "remember", "tell_of"]

LONGEST_EVENT = timedelta(minutes=20)
AHEAD = timedelta(minutes=5)  # what a clock that is being set may be ahead
REMEMBER_EVERY = timedelta(hours=1)
JUMP = timedelta(minutes=10)
ALL_TIME = datetime(9999, 1, 1, tzinfo=timezone.utc)
LOOKED_AT_FIRST = 5000  # of the newest events: more than there can be in six hours
LOOKED_AT = 500  # of the newest events of a label, whether one of them is sure
BETWEEN = "SELECT id FROM latest WHERE start_utc >= ? AND start_utc < ? ORDER BY start_utc, number"
NEWEST = "SELECT id FROM latest ORDER BY start_utc DESC LIMIT ?"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is looked at and for whom; `services` are the digests of their URLs."""

    place: Place
    services: Sequence[str]
    today: Names
    species: Names


class Watcher:
    """Looks again and again, for one thread. Only what changes is written."""

    def __init__(self, watch: Watch, book: Notebook, *, warn: RateLimitedLog) -> None:
        self._watch, self._book, self._warn = watch, book, warn
        self._place = watch.place
        self._looked: datetime | None = None
        self._remembered: datetime | None = None
        self._courses = {fault: book.course(fault) for fault in FAULTS}

    def look(self, now: datetime) -> None:
        """Judge what has ended since, and see how the faults go; raises `StoreError`."""
        summary, deaf = None, None
        try:
            with reading(self._place.store) as db:
                self._look_at_events(db, now)
                midnight = self._place.midnight(self._place.local(now).date())
                summary, deaf = summarise(db, now=now, midnight=midnight), is_deaf(db)
            self._warn.recovered("store", "the store can be read again")
        except UserError as exc:
            self._warn.warning("store", str(exc))
        self._look_at_faults(summary, deaf, now)

    def _look_at_events(self, db: sqlite3.Connection, now: datetime) -> None:
        after = now - EXPIRES
        if not self._book.has_begun:
            self._begin(db, now)
        jumped = self._looked is None or not timedelta(0) <= now - self._looked < JUMP
        if jumped or self._remembered is None or now - self._remembered >= REMEMBER_EVERY:
            remember(db, self._watch, self._book, until=after, now=now)
            self._remembered = now
        events = self._ended(db, after=after, now=now)
        if events:
            with self._book.transaction():
                for event in events:
                    tell_of(event, self._watch, self._book, now=now)
        self._looked = now

    def _begin(self, db: sqlite3.Connection, now: datetime) -> None:
        """Take all that the store has for known, whatever the clock says: it was before this."""
        remember(db, self._watch, self._book, until=ALL_TIME, now=now)
        ids = [id for (id,) in db.execute(NEWEST, (LOOKED_AT_FIRST,))]
        with self._book.transaction():
            self._book.note_judged(ids)
            self._book.fact("begun_utc", rfc3339(now))

    def _ended(
        self, db: sqlite3.Connection, *, after: datetime, now: datetime
    ) -> list[StoredEvent]:
        """Return the events that have ended and were not judged, in the order of their ends."""
        span = (rfc3339(after - LONGEST_EVENT), rfc3339(now + AHEAD))
        new = [id for (id,) in db.execute(BETWEEN, span) if not self._book.is_judged(id)]
        found = [event for id in new if (event := find(db, id)) is not None]
        wait_s = self._place.config.mqtt.wait_for_sync_s
        ended = [e for e in found if e.state == "end" and e.end > after and _dated(e, now, wait_s)]
        return sorted(ended, key=lambda event: (event.end, event.number))

    def _look_at_faults(self, summary: Summary | None, deaf: bool | None, now: datetime) -> None:
        config, folder = self._place.config.notify, self._place.store.parent
        for fault, shows in faults_now(summary, deaf, folder=folder, config=config).items():
            before = self._courses[fault]
            if shows is None:
                self._courses[fault] = replace(before, looked=None)
                continue
            course, told = next_course(before, shows, now=now, config=config)
            if replace(course, looked=None) != replace(before, looked=None):
                with self._book.transaction():
                    self._book.keep_course(fault, course)
                    if told is not None:
                        self._tell_fault(fault, course, over=told == "over", now=now)
            self._courses[fault] = course

    def _tell_fault(self, fault: Fault, course: Course, *, over: bool, now: datetime) -> None:
        words = fault_words(fault, over=over, since=course.since or now, now=now, place=self._place)
        draft = Draft(key=f"fault/{fault}/{rfc3339(now)}", wording=words)
        add_message(self._book, draft, services=self._watch.services, place=self._place, now=now)
        log.info("a message is made: %s, %s", fault, "over" if over else "begun")


def remember(
    db: sqlite3.Connection, watch: Watch, book: Notebook, *, until: datetime, now: datetime
) -> None:
    """Remember the species of events that ended before, of which nobody is told any more.

    The store is read first: what fails then is not the notebook's fault.
    """
    config, place = watch.place.config.notify, watch.place
    midnight = place.midnight(place.local(now).date())
    today = Question(since=midnight, until=until)
    heard = [
        (event.label, place.local(event.start).date())
        for event in select(db, today, newest_first=True, limit=LOOKED_AT_FIRST)
        if event.label is not None and event.end <= until and is_sure(event, config)
    ]
    known = []
    for label in known_labels(db):
        if not book.knows(label):
            question = Question(until=until, label=label)
            newest = select(db, question, newest_first=True, limit=LOOKED_AT)
            if any(is_sure(event, config) and event.end <= until for event in newest):
                known.append(label)
    with book.transaction():
        for label, day in heard:
            book.hear(label, day)
        for label in known:
            book.learn(label)


def tell_of(event: StoredEvent, watch: Watch, book: Notebook, *, now: datetime) -> Verdict:
    """Make a message of an event where a rule tells of it, within a transaction."""
    place = watch.place
    day = place.local(event.start).date()
    verdict = judge(
        event,
        day=day,
        config=place.config.notify,
        today=watch.today,
        species=watch.species,
        memory=book,
    )
    book.note_judged([event.id])
    book.count_one(verdict)
    if verdict in UNTOLD:
        return verdict
    words = words_of(event, cast(Rule, verdict), place)
    draft = Draft(key=f"event/{event.id}", wording=words, clip=event.clip or "", day=day)
    add_message(book, draft, services=watch.services, place=place, now=now)
    log.info("a message is made: %s, %s", event.label, verdict)
    return verdict


def _dated(event: StoredEvent, now: datetime, wait_s: float) -> bool:
    """Return whether an event has its date: its clock was set, or was not for so long."""
    clock = event.payload.get("clock")
    unset = isinstance(clock, dict) and clock.get("synced") is False
    return not unset or not timedelta(0) <= now - event.end < timedelta(seconds=wait_s)
