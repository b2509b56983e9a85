"""A service on loopback that takes the messages of `edge notify`, and a recorder to tell of."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from edge.notify.rules import Names
from edge.notify.watching import Watch
from edge.page.place import Place, place_of
from edge.store.store import Store
from tests.support.daemons import write_config
from tests.support.heard import record_event

__all__ = ["FarEnd", "far_end", "place_at", "quiet_store", "record", "services_file", "watch_of"]

Manner = Literal["takes", "refuses", "hangs", "hangs_up", "too_large"]


class FarEnd:
    """What a server of HTTP got, and how it answers."""

    def __init__(self) -> None:
        self.manner: Manner = "takes"
        self.asked: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.delay_s = 0.0
        self.url = ""

    @property
    def titles(self) -> list[str]:
        """The titles of what was taken."""
        return [message["title"] for message in self.taken]

    def answer(self, message: dict[str, Any]) -> int | None:
        """Take a message or not; return the status, None for no answer at all."""
        self.asked.append(message)
        time.sleep(self.delay_s)
        if self.manner == "hangs":
            time.sleep(30)
        if self.manner in ("hangs", "hangs_up"):
            return None
        if self.manner == "refuses":
            return 500
        if self.manner == "too_large" and message["attachments"]:
            return 413
        self.taken.append(message)
        return 200


@contextmanager
def far_end() -> Iterator[FarEnd]:
    """Serve on a free port of loopback until the block ends."""
    state = FarEnd()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            status = state.answer(json.loads(self.rfile.read(length)))
            if status is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"json://somebody:s3cret-word@127.0.0.1:{server.server_port}/hook/t0ken-of-mine"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def services_file(folder: Path, *urls: str) -> Path:
    """Write a file of services, for its owner only."""
    file = folder / "services"
    file.write_text("# those who want to know\n\n" + "\n".join(urls) + "\n")
    file.chmod(0o600)
    return file


def place_at(folder: Path, **notify: Any) -> Place:
    """A recorder below `folder` in UTC, whose store is empty, and what it tells."""
    config = write_config(
        folder,
        folder,
        clips={"folder": str(folder / "clips")},
        site={"timezone": "UTC"},
        device={"id": "pond", "site": "Mill pond"},
        notify=notify,
    )
    quiet_store(folder).close()
    place = place_of(config)
    return place


def quiet_store(folder: Path) -> Store:
    """The store of the recorder, without a wait for the disk."""
    store = Store(folder / "edge.db", outbox_bytes=10**7, history_bytes=10**9)
    store._db.execute("PRAGMA synchronous = OFF")
    return store


def record(
    folder: Path, events: list[tuple[datetime, str | None, float]], *, first: int = 0, **how: Any
) -> None:
    """Record ended events of 3 s: when each begins, its label and how likely that is right."""
    with quiet_store(folder) as store:
        for number, (at, label, probability) in enumerate(events, first):
            record_event(store, number, at, label, probability=probability, **how)


def watch_of(place: Place, **names: Names) -> Watch:
    """What `edge notify` looks at, for one service."""
    return Watch(
        place=place,
        services=["one"],
        today=names.get("today", Names()),
        species=names.get("species", Names()),
    )
