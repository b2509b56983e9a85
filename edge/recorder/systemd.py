"""The service manager's watchdog (sd_notify(3)), fed by windows that reached the store."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

from edge.errors import one_line

__all__ = ["Notifier"]


class Notifier:
    """Sends datagrams to NOTIFY_SOCKET; without one, nothing happens.

    Any thread may call it; it never blocks, and never raises when the manager does not listen.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # A leading @ is how the environment spells the zero byte of Linux's abstract sockets.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._monotonic_s = monotonic_s
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_UNIX, kind) if path else None
        watched = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._interval_s = int(environ.get("WATCHDOG_USEC") or 0) * 1e-6 / 4 if watched else 0.0
        self._fed_s = -float("inf")
        self._is_ready = False

    def ready(self) -> None:
        """Say, once, that samples advance."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def progress(self) -> None:
        """Feed the watchdog: a window went all the way to the store.

        It is fed four times in its interval at most.
        """
        now_s = self._monotonic_s()
        if self._interval_s and now_s - self._fed_s >= self._interval_s:
            self._fed_s = now_s
            self._send("WATCHDOG=1")

    @property
    def listened_to(self) -> bool:
        """Whether there is a service manager that has asked to be told."""
        return self._socket is not None

    def status(self, text: str) -> None:
        """Say in one line what is done, for people."""
        self._send(f"STATUS={one_line(text)}")

    def reloading(self) -> None:
        """Say that a new configuration is being built."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def reloaded(self, status: str) -> None:
        """Say that building it has ended, well or not."""
        ready = "READY=1\n" if self._is_ready else ""
        self._send(f"{ready}STATUS={one_line(status)}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return  # the service manager has gone or is swamped; a recorder goes on without it
