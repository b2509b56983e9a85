"""Looks now and then into a folder, or asks a server over https, for an order and its head.

Both have the same files: `DEVICE.json` or `all.json` is the order, `SHA256.head` the packed head.
"""

from __future__ import annotations

import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from edge.bundle.folder import content_of
from edge.bundle.order import LARGEST_ORDER_BYTES, Order
from edge.bundle.packed import LARGEST_HEAD_BYTES
from edge.config.heads import HeadsConfig
from edge.errors import BundleError, one_line
from edge.heads.inbox import Inbox
from edge.rate_limited_log import RateLimitedLog
from edge.threads import Died, WatchedThread

__all__ = ["HeadFolder", "HeadServer", "Puller", "files_of_order", "pulling"]

TIMEOUT_S = 30.0
log = logging.getLogger(__name__)


class HeadSource(Protocol):
    """Where files lie."""

    def read(self, name: str, *, most_bytes: int) -> bytes | None:
        """Return the content of a file, None where there is none; raises OSError, BundleError."""
        ...


class HeadFolder:
    """A folder: of a memory stick, or that another program fills."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, *, most_bytes: int) -> bytes | None:
        """See `HeadSource`."""
        try:
            return content_of(self._folder / name, most_bytes=most_bytes)
        except FileNotFoundError:
            return None


class HeadServer:
    """The files below a URL; the server proves itself by its certificate."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, name: str, *, most_bytes: int) -> bytes | None:
        """See `HeadSource`."""
        where = f"{self._url}/{name}"
        try:
            with urllib.request.urlopen(where, timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read(most_bytes + 1)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code in (404, 410):
                return None
            raise OSError(None, f"the server says {exc.code} {exc.reason}", where) from exc
        except HTTPException as exc:
            raise OSError(None, f"no answer of HTTP ({type(exc).__name__})", where) from exc
        if len(content) > most_bytes:
            raise BundleError(f"{where}: is larger than {most_bytes} bytes")
        return content


def sources_of(config: HeadsConfig) -> list[HeadSource]:
    """Return the places that the configuration names."""
    folder = [HeadFolder(config.folder)] if config.folder is not None else []
    server = [HeadServer(config.url)] if config.url is not None else []
    return [*folder, *server]


def files_of_order(order: Order) -> tuple[str, str]:
    """Return the names of the files that hold an order and the packed head."""
    return f"{order.device or 'all'}.json", f"{order.content}.head"


@contextmanager
def pulling(config: HeadsConfig, inbox: Inbox | None, *, device: str, died: Died) -> Iterator[None]:
    """Ask where the configuration says, if it says so, while the block runs."""
    sources = sources_of(config)
    if inbox is None or not sources:
        yield
        return
    puller = Puller(sources, inbox, device=device, every_s=config.every_s, died=died)
    puller.start()
    try:
        yield
    finally:
        puller.stop()


class Puller:
    """Asks `sources` every `every_s`, on a thread of its own, for what goes into the inbox."""

    def __init__(
        self,
        sources: list[HeadSource],
        inbox: Inbox,
        *,
        device: str,
        every_s: float,
        died: Died,
    ) -> None:
        self._sources = sources
        self._inbox = inbox
        self._names = (f"{device}.json", "all.json")
        self._every_s = every_s
        self._log = RateLimitedLog(log)
        self._ending = threading.Event()
        self._thread = WatchedThread(self._run, name="heads", died=died)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; a server that is waited for does not keep the recorder from it."""
        self._thread.expect_end()
        self._ending.set()
        self._thread.join(0.5)

    def _run(self) -> None:
        while not self._ending.is_set():
            for source in self._sources:
                self._ask(source)
            self._ending.wait(self._every_s)

    def _ask(self, source: HeadSource) -> None:
        try:
            order = self._inbox.believed(*self._orders(source))
            if order is None:
                return
            packed = source.read(files_of_order(order)[1], most_bytes=LARGEST_HEAD_BYTES)
            if packed is None:
                text = f"order {order.number} is there, and its head {order.content[:12]} is not"
                self._log.warning("missing", text)
            else:
                self._inbox.bring(order, packed)
        except (OSError, BundleError) as exc:
            self._log.warning(type(exc).__name__, f"heads are asked for in vain: {_why(exc)}")

    def _orders(self, source: HeadSource) -> Iterator[bytes]:
        for name in self._names:
            content = source.read(name, most_bytes=LARGEST_ORDER_BYTES + 1)
            if content is not None:
                yield content


def _why(exc: Exception) -> str:
    return one_line(str(exc))
