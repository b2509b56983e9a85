"""Which file has the results of which recording, where each has its own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from edge.errors import ConfigError
from edge.replay.formats import Format
from edge.replay.recordings import STANDARD_INPUT

__all__ = ["check_places", "places_of"]

SUFFIXES: dict[Format, str] = {
    "table": ".txt",
    "jsonl": ".jsonl",
    "csv": ".csv",
    "raven": ".selections.txt",
    "audacity": ".labels.txt",
    "kaleidoscope": ".id.csv",
    "recordings": ".recordings.csv",
    "windows": ".windows.jsonl",
}


def places_of(
    recordings: Sequence[str], *, given: Sequence[str], form: Format, folder: str | None
) -> dict[str, str]:
    """Return the file of results of each recording: beside it, or below `folder`.

    Below `folder` it is where the recording is below the folder that was `given`. Recordings whose
    names differ in their suffix only keep it. Raises `ConfigError` where two would share a file.
    """
    if STANDARD_INPUT in recordings:
        raise ConfigError("has no place for what comes from standard input", key="--per-file")
    names = {
        recording: recording if folder is None else os.path.join(folder, _below(recording, given))
        for recording in dict.fromkeys(recordings)
    }
    suffix = SUFFIXES[form]
    places = {recording: os.path.splitext(name)[0] + suffix for recording, name in names.items()}
    for shared in _shared(places):
        places.update({recording: names[recording] + suffix for recording in shared})
    for first, second, *_ in _shared(places):
        raise ConfigError(
            f"{first} and {second} would both be written to {places[second]}",
            key="--per-file",
            suggestion="give the folder above them, or leave out --out",
        )
    return places


def check_places(places: Mapping[str, str], *, overwrite: bool) -> None:
    """Raise `ConfigError` where files cannot be made, or are there and shall not be replaced."""
    there = [place for place in places.values() if os.path.lexists(place)]
    if there and not overwrite:
        more = f", and {len(there) - 1} more are" if len(there) > 1 else ""
        reason = f"{there[0]}: is there already{more}"
        raise ConfigError(reason, suggestion="--overwrite replaces what is there")
    for place in there:
        if os.path.exists(place) and not os.path.isfile(place):
            raise ConfigError(f"{place}: is there and not a regular file")
    for folder in dict.fromkeys(map(os.path.dirname, places.values())):
        _check_folder(folder or ".")


def _check_folder(folder: str) -> None:
    """Raise `ConfigError` where files cannot be made in `folder`, which may still be missing."""
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest) or "."
    if not os.path.isdir(nearest):
        raise ConfigError(f"{nearest}: is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        suggestion = "--out names another folder"
        raise ConfigError(f"{nearest}: cannot be written to", suggestion=suggestion)


def _below(recording: str, given: Sequence[str]) -> str:
    """Return the path of a recording below the folder in which it was found."""
    for root in given:
        if recording.startswith(os.path.join(root, "")):
            return os.path.relpath(recording, root)
    return os.path.basename(recording)


def _shared(places: Mapping[str, str]) -> Iterable[list[str]]:
    """Return the recordings that would have the same file, also where case does not count."""
    by_file = defaultdict(list)
    for recording, place in places.items():
        by_file[os.path.realpath(place).casefold()].append(recording)
    return [recordings for recordings in by_file.values() if len(recordings) > 1]
