"""Of which recording a file of results is: by a record that lies beside it, or by what is in it."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TextIO

from edge.replay.formats import Format
from edge.terminal import printable

__all__ = ["OutputRecord", "is_remote", "key_of", "local_path", "named_in"]

RECORD = ".recordings.jsonl"
URL = re.compile(r"[a-z][a-z0-9+.-]+://")
MOST_CHARACTERS = 1_000_000  # of a file of results, in which its first row stands
# The columns that name a recording, by the format: one, or a path in parts.
COLUMNS: Mapping[Format, tuple[str, ...]] = {
    "csv": ("file",),
    "recordings": ("file",),
    "raven": ("Begin Path",),
    "kaleidoscope": ("INDIR", "FOLDER", "IN FILE"),
}
KEYS: Mapping[Format, str] = {"jsonl": "source", "windows": "file"}


def is_remote(recording: str) -> bool:
    """Return whether a recording stands in an object store, as those of a dataset may."""
    return URL.match(recording) is not None


def local_path(recording: str) -> str:
    """Return the path of a recording; of one in a store, a path that stands for its URL."""
    if not is_remote(recording):
        return recording
    return f"/{recording.partition('://')[2].lstrip('/')}"


def key_of(recording: str) -> str:
    """Return what a recording is known by, from wherever it is given: its URL or whole path."""
    return printable(recording if is_remote(recording) else os.path.abspath(recording))


class OutputRecord:
    """Which recording each output below `folder` is of, in one form; None: nothing is recorded.

    It is a hidden file there with a line for each, the later one counts. Any process adds lines.
    """

    def __init__(self, folder: str | None, form: Format) -> None:
        self._folder = folder or os.curdir
        self._form = form
        self._file = None if folder is None else os.path.join(folder, RECORD)
        self._recordings = {} if self._file is None else dict(self._read(self._file))
        self._places = {recording: place for place, recording in self._recordings.items()}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is recorded, as where an earlier version has written all."""
        return not self._recordings

    def place(self, recording: str) -> str | None:
        """Return the output of a recording, None where none is recorded."""
        return self._places.get(key_of(recording))

    def recording(self, place: str) -> str | None:
        """Return by what the recording of an output is known, None where none is recorded."""
        return self._recordings.get(os.path.normpath(place))

    def add(self, recording: str, place: str) -> None:
        """Record an output that is there or about to be; raises OSError."""
        key, place = key_of(recording), os.path.normpath(place)
        if self._file is None or self._recordings.get(place) == key:
            return
        os.makedirs(self._folder, exist_ok=True)
        output = os.path.relpath(place, self._folder)
        line = json.dumps({"output": output, "format": self._form, "recording": key})
        with open(self._file, "a", encoding="utf-8") as stream:
            stream.write(f"\n{line}\n")  # behind one that a kill has cut off
        self._recordings[place] = key
        self._places[key] = place

    def _read(self, file: str) -> Iterator[tuple[str, str]]:
        if not os.path.isfile(file):
            return
        with open(file, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                with suppress(ValueError, TypeError, KeyError):
                    found = json.loads(line)
                    output, recording = found["output"], found["recording"]
                    place = os.path.normpath(os.path.join(self._folder, output))
                    below = os.path.relpath(place, self._folder).split(os.sep)[0] != os.pardir
                    if found["format"] == self._form and isinstance(recording, str) and below:
                        yield place, recording


def named_in(place: str, form: Format) -> str | None:
    """Return by what the recording is known that a file of results names first; None where it
    names none, as one without rows, or cannot be read.
    """
    if not os.path.isfile(place):
        return None
    try:
        with open(place, encoding="utf-8", errors="replace", newline="") as stream:
            named = _first_named(stream, form)
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    return None if not named else key_of(named)


def _first_named(stream: TextIO, form: Format) -> str | None:
    if form in KEYS:
        line = stream.readline(MOST_CHARACTERS)
        found = json.loads(line)[KEYS[form]] if line else None
        return found if isinstance(found, str) else None
    if form not in COLUMNS:
        return None
    lines = (stream.readline(MOST_CHARACTERS) for _ in range(1000))
    rows = csv.reader(lines)
    if form == "raven":
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    head, *first = islice((row for row in rows if row), 2)
    if not first:
        return None
    return os.path.join(*(first[0][head.index(column)] for column in COLUMNS[form]))
