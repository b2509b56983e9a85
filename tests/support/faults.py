"""What a fault-injection test needs: the metrics as Prometheus sees them, what of them has moved,
and servers that misbehave.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections import defaultdict
from urllib.error import URLError

from tests.support.daemons import until

__all__ = ["Impostor", "Watch"]

INFOS = ("edge_info", "edge_engine_info")


class Watch:
    """Scrapes one daemon over HTTP and remembers every value that each series has had."""

    def __init__(self, port: int) -> None:
        self.text = b""
        self.kinds: dict[str, str] = {}
        self._port = port
        self._seen: dict[str, set[float]] = defaultdict(set)

    def look(self) -> dict[str, float]:
        """Every series of a scrape made now, as `name{labels}`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=20) as answer:
            self.text = answer.read()
        lines = self.text.decode().splitlines()
        self.kinds |= {
            line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE ")
        }
        pairs = (line.rpartition(" ")[::2] for line in lines if not line.startswith("#"))
        values = {name: float(value) for name, value in pairs}
        for name, value in values.items():
            self._seen[name].add(value)
        return values

    def until(self, name: str, at_least: float = 1.0, *, seconds: float = 60.0) -> None:
        """Wait until a series has that value or a higher one."""
        until(lambda: self._now(name) >= at_least, seconds)

    def _now(self, name: str) -> float:
        try:
            return self.look().get(name, -float("inf"))
        except URLError:
            return -float("inf")  # the daemon does not answer yet

    @property
    def series(self) -> set[str]:
        """All series but those that only say when another began, and the single buckets of a
        histogram.
        """
        return {
            self._plain(name)
            for name in self._seen
            if "_created" not in name and "_bucket{" not in name
        }

    @property
    def families(self) -> set[str]:
        """Names of all metrics that are announced, with series or without."""
        return {name for name in self.kinds if not name.endswith("_created")}

    def family(self, series: str) -> str:
        """The metric that a series belongs to."""
        name = series.partition("{")[0]
        return name if name in self.kinds else name.rpartition("_")[0]

    @property
    def moved(self) -> set[str]:
        """Counters that have counted, gauges that have had two values, and digests that have
        changed.
        """
        moved = {self._plain(name) for name, values in self._seen.items() if len(values) > 1}
        moved |= {
            name for name, values in self._seen.items() if self._counts(name) and max(values) > 0
        }
        return moved | {
            info for info in INFOS if sum(self._plain(name) == info for name in self._seen) > 1
        }

    def _plain(self, name: str) -> str:
        family = name.partition("{")[0]
        return family if family in INFOS else name

    def _counts(self, name: str) -> bool:
        return self.kinds.get(self.family(name)) in ("counter", "histogram")


class Impostor:
    """Takes connections on a port where a broker should be, says `says`, and nothing more."""

    def __init__(self, says: bytes = b"") -> None:
        self._says = says
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Impostor:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for connection in self._taken:
            connection.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                self._taken.append(connection)
                connection.sendall(self._says)
