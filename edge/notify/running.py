"""`edge notify`: looks every few seconds, sends what is due, and never waits for a service."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from edge.errors import StoreError
from edge.notify.delivering import Couriers, try_service
from edge.notify.names import listed_names
from edge.notify.notebook import Notebook, opened, time_in
from edge.notify.rules import UNTOLD
from edge.notify.services import Service, check_service, configured_services
from edge.notify.watching import Watch, Watcher, remember, tell_of
from edge.notify.wording import site_of
from edge.page.owner import give_to_owner
from edge.page.place import Place
from edge.rate_limited_log import RateLimitedLog
from edge.store.events import Question, select
from edge.store.lock import sole_user
from edge.store.reading import reading

__all__ = ["notify", "rehearse", "test_services"]

EVERY_S = 5.0
STOP = "it tells already: stop that one first, systemctl stop edge-notify"
TEST_BODY = "A test of edge notify: messages of this recorder arrive here."
log = logging.getLogger(__name__)


def _services(place: Place) -> list[Service]:
    """Return the services, each of which apprise knows; raises `UserError`."""
    file = place.config.notify.services_file
    services = configured_services(file)
    for service in services:
        check_service(service, file)
    return services


def notify(
    place: Place,
    *,
    ending: threading.Event,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    every_s: float = EVERY_S,
) -> None:
    """Tell people until `ending`; raises `UserError` where that cannot begin."""
    services = _services(place)
    today, species = listed_names(place.config)
    warn = RateLimitedLog(log)
    folder = place.told.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sole_user(place.told, key="edge notify", suggestion=STOP), opened(place.told) as book:
        give_to_owner(folder, *folder.iterdir())
        couriers = Couriers(services, book, place, warn=warn)
        watch = Watch(place=place, services=couriers.digests, today=today, species=species)
        watcher = Watcher(watch, book, warn=warn)
        log.info("%d services; what was told is in %s", len(services), place.told)
        while not ending.is_set():
            at = now()
            try:
                watcher.look(at)
                couriers.step(at)
                warn.recovered("notebook", "what was told can be noted again")
            except (StoreError, sqlite3.Error, OSError) as exc:  # a full disk: later it may go
                warn.warning("notebook", f"{place.told}: {exc}; it is tried again")
            ending.wait(every_s)
        couriers.wait()
        give_to_owner(*folder.iterdir())


def test_services(place: Place) -> Iterator[tuple[bool, str]]:
    """Send a message to each service; yield whether it was taken, and that in a line."""
    title = f"Test from {site_of(place.config)}"
    for service in _services(place):
        answer = try_service(service, title=title, body=TEST_BODY)
        yield answer.taken, f"{service.name}: {answer.words}"


def rehearse(place: Place, *, since: datetime, now: datetime) -> Iterator[str]:
    """Yield what would have been told of the events since then, a line each; sends nothing."""
    today, species = listed_names(place.config)
    watch = Watch(place=place, services=[], today=today, species=species)
    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "notify.db") as book,
        reading(place.store) as db,
    ):
        remember(db, watch, book, until=since, now=since)
        events = [event for event in select(db, Question(since=since)) if event.state == "end"]
        for event in sorted(events, key=lambda event: (event.end, event.number)):
            verdict = tell_of(event, watch, book, now=min(event.end, now))
            counts[verdict] += 1
            if verdict not in UNTOLD:
                yield _line(book, place)
    told = sum(count for verdict, count in counts.items() if verdict not in UNTOLD)
    yield (
        f"{told} messages of {counts.total()} events; {counts['too_soon']} came too soon after "
        f"another, {counts['too_many']} were too many for a day; faults are not rehearsed"
    )


def _line(book: Notebook, place: Place) -> str:
    """Return the newest message in a line."""
    row = book.db.execute("SELECT * FROM messages ORDER BY number DESC LIMIT 1").fetchone()
    at = time_in(row["from_utc"])
    assert at is not None
    return f"{place.local(at):%Y-%m-%d %H:%M}  {row['title']}"
