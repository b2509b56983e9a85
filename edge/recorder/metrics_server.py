"""The page that Prometheus asks for the numbers of a recorder."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from edge.config.sections import MetricsConfig
from edge.errors import ConfigError
from edge.rate_limited_log import RateLimitedLog
from edge.threads import Died, WatchedThread

__all__ = ["MetricsServer"]

log = logging.getLogger(__name__)


class MetricsServer:
    """Answers Prometheus from a thread of its own, each request on a further one.

    Raises `ConfigError` when the address or the port cannot be had.
    """

    def __init__(self, registry: CollectorRegistry, config: MetricsConfig, *, died: Died) -> None:
        address, port = config.address, config.port
        try:
            family, *_, sockaddr = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
            host = str(sockaddr[0])
            self._server = make_server(
                host, port, make_wsgi_app(registry), _server_of(family), handler_class=_Silent
            )
        except OSError as exc:
            reason = str(exc.strerror or exc)
            key = "metrics.address, metrics.port"
            raise ConfigError(reason, key=key, value=f"{address}:{port}") from exc
        self._thread = WatchedThread(self._server.serve_forever, name="metrics", died=died)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop answering."""
        self._thread.expect_end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Told:
    """A request that fails ends a thread of its own: told now and then, and nothing else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limited = RateLimitedLog(log)

    def __call__(self, client_address: object) -> None:
        with self._lock:
            text = f"metrics: a request of {client_address} failed: {sys.exc_info()[1]!r}"
            self._limited.warning("request", text)


class _Silent(WSGIRequestHandler):
    """A line in the journal for each scrape would fill it."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def _server_of(family: int) -> type[ThreadingWSGIServer]:
    """Return the class of server for IPv4 or IPv6."""
    told = _Told()

    class Server(ThreadingWSGIServer):
        address_family = socket.AddressFamily(family)

        def handle_error(self, request: object, client_address: object) -> None:
            told(client_address)

    return Server
