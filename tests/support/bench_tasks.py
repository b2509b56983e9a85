"""What workers do while an archive is measured: a script itself would be sent with each task."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from edge.archive.hearing import Hearing, hear
from edge.archive.keeping import Keeps
from edge.bench.measuring import peak_rss_mib
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer

__all__ = ["CANNED", "EACH", "NOTES", "deaf", "hear_and_note"]

NOTES, CANNED = "EDGE_BENCH_NOTES", "EDGE_BENCH_CANNED"
EACH = 50  # tasks of a worker to a note
_canned: ReplayResult | None = None


def deaf(replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing:
    """Say of every recording what was heard once."""
    global _canned  # noqa: PLW0603 - a worker has no other place for it
    note()
    if _canned is None:
        _canned = replayer.replay(os.environ[CANNED])
    return Hearing(outcome=replace(_canned, file=recording.name))


def hear_and_note(replayer: Replayer, recording: Recording, keeps: Keeps) -> Hearing:
    """Hear a recording."""
    note()
    return hear(replayer, recording, keeps)


_noted = 0


def note() -> None:
    """Write down now and then what this process has spent, in s, and weighed, in MiB."""
    global _noted  # noqa: PLW0603 - a worker has no other place for it
    _noted += 1
    if _noted % EACH == 0:
        with open(os.environ[NOTES], "a") as file:
            file.write(f"{time.process_time()} {peak_rss_mib()}\n")
