"""Starts couriers for what is due, one at a time for each service, and sees how they end."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from edge.notify.courier import LONGEST_S
from edge.notify.notebook import Notebook
from edge.notify.outgoing import due, expire, failures, in_flight, lost_attempt, release
from edge.notify.services import Answer, Service
from edge.page.place import Place
from edge.rate_limited_log import RateLimitedLog
from edge.store.lock import holder_of

__all__ = ["Couriers", "try_service"]

MOST_AT_ONCE = 2  # couriers, which take 90 MB each
COURIER = (sys.executable, "-m", "edge.notify.courier")
log = logging.getLogger(__name__)


class Couriers:
    """The couriers of some services; none of them is waited for, but at the end."""

    def __init__(
        self, services: Sequence[Service], book: Notebook, place: Place, *, warn: RateLimitedLog
    ) -> None:
        salt = book.fact("salt", "")
        self._services = {service.digest(salt): service for service in services}
        self._book, self._place, self._warn = book, place, warn
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def digests(self) -> list[str]:
        """What names the services in the database."""
        return list(self._services)

    def step(self, now: datetime) -> None:
        """Let go what is due; raises `StoreError`, `sqlite3.Error`, OSError."""
        for digest in [d for d, one in self._running.items() if one.poll() is not None]:
            del self._running[digest]
        release(self._book, services=self.digests, place=self._place, now=now)
        for attempt in in_flight(self._book):
            if not self._is_busy(attempt.service):
                lost_attempt(self._book, attempt, now)
        if given_up := expire(self._book, now):
            self._warn.error("expired", f"given up after 6 h: {given_up} messages")
        quiet = self._place.config.notify.quiet_time
        if quiet is not None and quiet.covers(now, self._place.local):
            return
        # What answers comes before what does not, so that two that hang keep no other waiting long.
        failed = {digest: failures(self._book, digest) for digest in self._services}
        for digest in sorted(failed, key=lambda digest: failed[digest]):
            self._say_how(digest, failed[digest])
            if len(self._running) < MOST_AT_ONCE and not self._is_busy(digest):
                self._start(digest, now)

    def _is_busy(self, digest: str) -> bool:
        return digest in self._running or holder_of(self._lock(digest)) is not None

    def _lock(self, digest: str) -> Path:
        return self._place.told.with_name(f"service-{digest[:16]}")

    def _start(self, digest: str, now: datetime) -> None:
        attempt = due(self._book, digest, now)
        if attempt is None:
            return
        order = {
            "book": str(self._place.told),
            "lock": str(self._lock(digest)),
            "clips": str(self._place.clips.folder),
            "url": self._services[digest].url,
            "attempt": asdict(attempt),
        }
        # In a session of its own, which no key of a terminal ends; what apprise would print has
        # secrets in it.
        courier = subprocess.Popen(
            COURIER,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._running[digest] = courier
        assert courier.stdin is not None
        with contextlib.suppress(BrokenPipeError), courier.stdin:  # it has ended; the next one goes
            courier.stdin.write(json.dumps(order).encode())

    def _say_how(self, digest: str, failed: int) -> None:
        """Log that a service takes nothing, and that it does again."""
        name = self._services[digest].name
        if failed:
            text = f"{name} has not taken a message {failed} times; edge notify --test says more"
            self._warn.warning(digest, text)
        else:
            self._warn.recovered(digest, f"{name} takes messages again")

    def wait(self) -> None:
        """Wait until all that run have ended, which the kernel sees to."""
        end_s = time.monotonic() + LONGEST_S
        for courier in self._running.values():
            try:
                courier.wait(max(0.1, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                return


def try_service(service: Service, *, title: str, body: str) -> Answer:
    """Send a message at once, in a process of its own; return what became of it."""
    order = json.dumps({"url": service.url, "title": title, "body": body}).encode()
    done = subprocess.run(COURIER, input=order, capture_output=True, check=False)
    try:
        said = json.loads(done.stdout)
        return Answer(taken=said["taken"] is True, statuses=tuple(said["statuses"]))
    except (ValueError, KeyError, TypeError):  # it hung, and was ended
        return Answer(taken=False)
