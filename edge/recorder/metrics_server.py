"""The page that Prometheus asks for the numbers of a recorder.

It is an accessory: an address that is taken, or that a network brings up later, keeps no recorder
from hearing. It is tried again for as long as it takes.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from collections import OrderedDict
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from edge.backoff import Backoff
from edge.config.sections import MetricsConfig
from edge.rate_limited_log import RateLimitedLog
from edge.threads import Died, WatchedThread

__all__ = ["MetricsPage", "MetricsServer", "listen"]

IDLE_S = 5.0  # a client that says nothing for so long is hung up on
WHOLE_S = 30.0  # and one that is not done after so long, however little it says
MOST_CLIENTS = 8  # at once, each with a thread; the oldest gives way to a new one
log = logging.getLogger(__name__)


class MetricsPage:
    """The page, where the configuration wants it and nowhere else. The main thread's."""

    def __init__(self, registry: CollectorRegistry, *, died: Died) -> None:
        self._registry = registry
        self._died = died
        self._server: MetricsServer | None = None

    def show(self, config: MetricsConfig) -> None:
        """Answer as `config` says, in place of what was before."""
        self.close()
        if config.enabled:
            self._server = MetricsServer(self._registry, config, died=self._died)

    def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()
            self._server = None


class MetricsServer:
    """Answers Prometheus from a thread of its own, each request on a further one.

    It listens as soon as address and port can be had; `died` is told of any other fault.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        config: MetricsConfig,
        *,
        died: Died,
        backoff: Backoff | None = None,
        idle_s: float = IDLE_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        self._registry = registry
        self._config = config
        self._limits = {"idle_s": idle_s, "whole_s": whole_s}
        self._backoff = backoff or Backoff(longest_s=60.0)
        self._closing = threading.Event()
        self._open = threading.Event()
        self._server: Server | None = None
        self._thread = WatchedThread(self._serve, name="metrics", died=died)
        self._thread.start()

    @property
    def port(self) -> int | None:
        """The port it listens on, None where it does not yet."""
        server = self._server
        return None if server is None else int(server.server_port)

    def wait_until_open(self, timeout_s: float) -> bool:
        """Wait until it listens; return whether it does."""
        return self._open.wait(timeout_s)

    def close(self) -> None:
        """Stop answering, or trying to; a name that is being looked up is not waited for."""
        self._thread.expect_end()
        self._closing.set()
        self._thread.join(0.5)

    def _serve(self) -> None:
        self._server = self._listening()
        if self._server is None:
            return
        with self._server as server:
            self._open.set()
            log.info("metrics: answering on port %d", server.server_port)
            server.serve_until(self._closing)

    def _listening(self) -> Server | None:
        """Return what listens, however long that takes; None when it is closed before."""
        told = ""
        while not self._closing.is_set():
            try:
                return listen(self._registry, self._config, **self._limits)
            except OSError as exc:
                reason = str(exc.strerror or exc)
                if reason != told:
                    place = f"{self._config.address}:{self._config.port}"
                    log.warning("metrics: cannot answer on %s: %s; trying again", place, reason)
                told = reason
            self._closing.wait(self._backoff.next_s())
        return None


class Server(ThreadingWSGIServer):
    """Serves a few clients at once, none of them for ever.

    Somebody who opens connections and says nothing takes no thread from those who ask.
    """

    whole_s = WHOLE_S
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clients: OrderedDict[socket.socket, float] = OrderedDict()  # and since when
        self._using = threading.Lock()
        self._limited = RateLimitedLog(log)
        super().__init__(*args, **kwargs)

    def serve_until(self, closing: threading.Event) -> None:
        """Serve until `closing` is set."""
        self.timeout = 0.25
        while not closing.is_set():
            self.handle_request()
            self.service_actions()
        self._hang_up(len(self._clients))

    def service_actions(self) -> None:
        """Hang up on those that have taken too long."""
        super().service_actions()
        due_s = time.monotonic() - self.whole_s
        with self._using:
            late = sum(began_s < due_s for began_s in self._clients.values())
        self._hang_up(late)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client on a thread of its own."""
        with self._using:
            more = len(self._clients) + 1 - MOST_CLIENTS
        self._hang_up(more)
        with self._using:
            self._clients[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a client's connection."""
        with self._using:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say now and then what a request came to; the next one is served all the same."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):  # the client has gone, or was hung up on
            log.debug("metrics: a request came to nothing", exc_info=True)
            return
        with self._using:
            self._limited.warning("request", f"metrics: a request failed: {error!r}")

    def _hang_up(self, count: int) -> None:
        """End the `count` oldest connections; their threads then close them."""
        with self._using:
            oldest = list(self._clients)[: max(0, count)]
            for request in oldest:
                del self._clients[request]
        for request in oldest:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


def listen(
    registry: CollectorRegistry,
    config: MetricsConfig,
    *,
    idle_s: float = IDLE_S,
    whole_s: float = WHOLE_S,
) -> Server:
    """Return a server that listens at the configured place; raises OSError where that cannot be."""
    found = socket.getaddrinfo(config.address, config.port, type=socket.SOCK_STREAM)
    family, *_, sockaddr = found[0]
    of_this = {"address_family": socket.AddressFamily(family), "whole_s": whole_s}
    kind = type("Server", (Server,), of_this)
    client = type("Client", (_Silent,), {"timeout": idle_s})
    app = make_wsgi_app(registry)
    return make_server(str(sockaddr[0]), config.port, app, kind, handler_class=client)


class _Silent(WSGIRequestHandler):
    """A line in the journal for each scrape would fill it."""

    def log_message(self, format: str, *args: object) -> None:
        pass
