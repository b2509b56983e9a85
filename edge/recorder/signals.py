"""Signals of the system as commands to the daemon."""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

__all__ = ["Command", "commands_from_signals"]

Command = Literal["stop", "reload", "died", "look", "head"]


@contextmanager
def commands_from_signals(commands: queue.SimpleQueue[Command]) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop, and SIGHUP reload, until the block ends. Main thread only."""
    wanted: dict[signal.Signals, Command] = {
        signal.SIGTERM: "stop",
        signal.SIGINT: "stop",
        signal.SIGHUP: "reload",
    }
    # SimpleQueue.put is reentrant, which is what a signal handler needs.
    before = {
        number: signal.signal(number, lambda *_, c=command: commands.put(c))
        for number, command in wanted.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
