"""Which file has the results of which recording, where each has its own."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from edge.errors import ConfigError
from edge.replay.formats import Format
from edge.replay.owners import OutputRecord, is_remote, key_of, local_path, named_in
from edge.replay.recordings import STANDARD_INPUT
from edge.sources.av import AV_SUFFIXES
from edge.sources.file import AUDIO_SUFFIXES

__all__ = ["Places", "check_places"]

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


class Places:
    """The file of results of each recording: beside it, or below `folder`.

    Below `folder` it is where the recording is below the folder that was `given`. Of a recording
    that has one already, by the record in `folder` or by what is in it, it stays that. A recording
    beside another that differs in its suffix only keeps the suffix. Raises `ConfigError` where two
    would share a file.
    """

    def __init__(
        self, recordings: Sequence[str], *, given: Sequence[str], form: Format, folder: str | None
    ) -> None:
        if STANDARD_INPUT in recordings:
            reason = "has no place for what comes from standard input"
            raise ConfigError(reason, key="--per-file")
        self._form, self._folder = form, folder
        self._record = OutputRecord(folder, form)
        self.of = self._settled(dict.fromkeys(recordings), given)
        for first, second, *_ in _shared(self.of):
            raise ConfigError(
                f"{first} and {second} would both be written to {self.of[second]}",
                key="--per-file",
                suggestion="give the folder above them, or leave out --out",
            )

    def missing(self) -> dict[str, str]:
        """Return the recordings, with their places, that have no results yet.

        Raises `ConfigError` where there are those of another recording.
        """
        due = {}
        for recording, place in self.of.items():
            if not os.path.lexists(place):
                due[recording] = place
                continue
            owner = self._owner(place)
            if owner not in (None, key_of(recording)):
                raise ConfigError(
                    f"{place}: is there already, of another recording ({owner})",
                    key="--resume",
                    suggestion="--out names another folder",
                )
            self.note(recording)
        return due

    def note(self, recording: str) -> None:
        """Record the place of a recording, before anything is written there."""
        self._record.add(recording, self.of[recording])

    def _settled(self, recordings: Iterable[str], given: Sequence[str]) -> dict[str, str]:
        suffix, folder = SUFFIXES[self._form], self._folder
        names = {
            recording: recording
            if folder is None
            else os.path.join(folder, _below(recording, given))
            for recording in recordings
        }
        plain = {one: os.path.splitext(name)[0] + suffix for one, name in names.items()}
        alike = {recording for shared in _shared(plain) for recording in shared}
        beside = _Beside()
        places = {}
        for recording, name in names.items():
            keeps = recording in alike or recording in beside or self._is_taken(recording, plain)
            chosen = name + suffix if keeps else plain[recording]
            places[recording] = self._written(recording, name) or chosen
        return places

    def _written(self, recording: str, name: str) -> str | None:
        """Return where the results of a recording are, None where they are not known to be."""
        if recorded := self._record.place(recording):
            return recorded
        names, suffix = [name], SUFFIXES[self._form]
        if self._folder is not None and self._record.is_empty:  # they may be of other inputs
            parts = local_path(recording).strip(os.sep).split(os.sep)
            names += [os.path.join(self._folder, *parts[k:]) for k in range(len(parts))]
        found = (
            place for one in names for place in (os.path.splitext(one)[0] + suffix, one + suffix)
        )
        return next((p for p in found if self._owner(p) == key_of(recording)), None)

    def _is_taken(self, recording: str, plain: Mapping[str, str]) -> bool:
        """Return whether results of a recording that differs in its suffix are in the place."""
        owner, own = self._owner(plain[recording]), key_of(recording)
        stems = (os.path.splitext(key)[0] for key in (owner or "", own))
        return owner != own and len(set(stems)) == 1

    def _owner(self, place: str) -> str | None:
        """Return by what the recording is known whose results are in a file; None: nobody says."""
        return self._record.recording(place) or named_in(place, self._form)


class _Beside:
    """The recordings beside which another one lies that differs in its suffix only."""

    def __init__(self) -> None:
        self._folders: dict[str, Counter[str]] = {}

    def __contains__(self, recording: str) -> bool:
        folder, name = os.path.split(recording)
        if is_remote(recording):
            return False
        if folder not in self._folders:
            self._folders[folder] = Counter(map(_stem, _audio_in(folder or os.curdir)))
        return self._folders[folder][_stem(name)] > 1


def _audio_in(folder: str) -> list[str]:
    with suppress(OSError, ValueError):
        known = AUDIO_SUFFIXES | AV_SUFFIXES
        names = (name for name in os.listdir(folder) if not name.startswith("."))
        return [name for name in names if os.path.splitext(name)[1].lower() in known]
    return []


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].casefold()


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
    """Return the path of a recording below the folder in which it was found, without any `..`."""
    path = os.path.abspath(local_path(recording))
    for root in map(os.path.abspath, given):
        if path.startswith(os.path.join(root, "")):
            return os.path.relpath(path, root)
    return os.path.basename(path)


def _shared(places: Mapping[str, str]) -> Iterable[list[str]]:
    """Return the recordings that would have the same file, also where case does not count."""
    by_file = defaultdict(list)
    for recording, place in places.items():
        by_file[os.path.realpath(place).casefold()].append(recording)
    return [recordings for recordings in by_file.values() if len(recordings) > 1]
