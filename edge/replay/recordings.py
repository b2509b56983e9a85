"""The recordings that a person means by files, folders and a pipe, and when each began."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from os.path import isdir
from pathlib import Path
from tempfile import TemporaryDirectory

from edge.errors import AudioError, ConfigError
from edge.replay.folders import FolderWalk, identity_of
from edge.sources.av import av_installed
from edge.sources.file import length_s

__all__ = ["STANDARD_INPUT", "Found", "Recording", "dated", "find_recordings", "standard_input"]

STANDARD_INPUT = "-"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A file to hear, what people call it, and when it began where somebody has said so."""

    file: str
    name: str
    start: datetime | None = None


@dataclass(kw_only=True)
class Found:
    """The recordings that were found, in order; faults keep their place.

    `left_out` counts what was passed over, by the reason.
    """

    recordings: list[Recording | AudioError] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def files(self) -> list[str]:
        """The files of the recordings."""
        return [found.file for found in self.recordings if isinstance(found, Recording)]

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of what was left out."""
        for reason, count in self.left_out.items():
            if count:
                yield f"not heard: {count} {reason}"


def find_recordings(
    paths: Sequence[str], *, piped: str | None = None, with_av: bool | None = None
) -> Found:
    """Return the recordings that `paths` name.

    A folder gives all audio files below it, sorted, but for those that are heard already under
    another name. `-` is the file `piped`, see `standard_input`. `with_av` says whether there are
    FFmpeg's libraries; None looks.
    """
    found = Found()
    for path in paths:
        if path == STANDARD_INPUT and piped is not None:
            found.recordings.append(Recording(file=piped, name=path))
        elif isdir(path):
            _add_below(found, path, with_av=av_installed() if with_av is None else with_av)
        else:
            found.recordings.append(Recording(file=path, name=path))
    return found


@contextmanager
def standard_input(paths: Sequence[str]) -> Iterator[str | None]:
    """Give a file with all that standard input holds where one of `paths` is `-`, else None.

    Raises `ConfigError` on a terminal.
    """
    if STANDARD_INPUT not in paths:
        yield None
        return
    if sys.stdin.isatty():
        raise ConfigError("reads a recording from a pipe, and this is a terminal", key="-")
    with TemporaryDirectory(prefix="edge-stdin-") as folder:
        # Its name is a part of what tells recordings from each other.
        file = Path(folder, STANDARD_INPUT)
        with file.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield str(file)


def dated(
    recordings: Sequence[Recording | AudioError], start: datetime | None, *, consecutive: bool
) -> list[Recording | AudioError]:
    """Return recordings with their starts: the first at `start`, each when the one before it ends.

    Raises `ConfigError` for several that are not said to be `consecutive`.
    """
    if start is None:
        return list(recordings)
    if len(recordings) > 1 and not consecutive:
        raise ConfigError(
            f"is the start of one recording, and {len(recordings)} were given",
            key="--start",
            suggestion="--consecutive takes each to begin where the one before it ends",
        )
    return list(_in_turn(recordings, start))


def _in_turn(
    recordings: Sequence[Recording | AudioError], start: datetime
) -> Iterator[Recording | AudioError]:
    begins: datetime | None = start
    for recording in recordings:
        if isinstance(recording, AudioError):
            begins = None
            yield recording
        elif begins is None:
            reason = "its start cannot be told, as a recording before it cannot be read"
            yield AudioError(f"{recording.name}: {reason}")
        else:
            yield replace(recording, start=begins)
            try:
                begins += timedelta(seconds=length_s(recording.file))
            except AudioError:
                begins = None


def _add_below(found: Found, folder: str, *, with_av: bool) -> None:
    heard = {identity_of(file) for file in found.files}
    walk = FolderWalk(folder, with_av=with_av)
    for file in walk.files:
        if identity_of(file) in heard:
            found.left_out["recordings that were given already"] += 1
        else:
            found.recordings.append(Recording(file=file, name=file))
    found.recordings += walk.faults
    found.left_out += walk.left_out
