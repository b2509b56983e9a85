"""The recordings below a folder, each of them once, and what is passed over there."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

from edge.errors import AudioError
from edge.extras import how_to_install
from edge.sources.av import AV_SUFFIXES
from edge.sources.file import AUDIO_SUFFIXES

__all__ = ["FolderWalk", "identity_of"]

# What systems keep of deleted files and of themselves. A leading dot hides a folder as well.
SYSTEM_FOLDERS = re.compile(
    r"\..*|\$RECYCLE\.BIN|RECYCLE[DR]|System Volume Information|lost\+found|found\.\d{3}",
    re.IGNORECASE,
)
# Recorders' own formats, which only their makers' programs read.
CLOSED_SUFFIXES = frozenset({".wac", ".zc"})
APPLE_DOUBLE = b"\x00\x05\x16\x07"


class FolderWalk:
    """Looks through a folder once, for what FFmpeg's libraries read, too, if `with_av`.

    `files` are the recordings below it, sorted; a link counts where the file that it leads to is
    not below the folder. `left_out` counts what was passed over, by the reason. `faults` are what
    should have been heard and cannot be.
    """

    def __init__(self, folder: str, *, with_av: bool) -> None:
        self._folder = folder
        self._with_av = with_av
        self._failed: list[OSError] = []
        self._unreadable: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.files = self._sorted_once(list(self._audio()))
        self.faults = list(self._faults())

    def _audio(self) -> Iterator[str]:
        entered: set[object] = set()
        for parent, folders, names in os.walk(
            self._folder, onerror=self._failed.append, followlinks=True
        ):
            identity = identity_of(parent)
            if identity in entered:  # a link that leads back, or to a folder seen before
                folders[:] = []
                continue
            entered.add(identity)
            self._leave_out(parent, folders)
            for name in names:
                if self._is_audio(parent, name):
                    yield os.path.join(
                        self._folder, os.path.relpath(f"{parent}/{name}", self._folder)
                    )

    def _leave_out(self, parent: str, folders: list[str]) -> None:
        """Take from `folders` those of the system, and count the recordings in them."""
        for folder in [name for name in folders if SYSTEM_FOLDERS.fullmatch(name)]:
            folders.remove(folder)
            for _, _, names in os.walk(os.path.join(parent, folder)):
                audio = sum(_suffix(name) in AUDIO_SUFFIXES for name in names)
                self.left_out["recordings in hidden folders and those of deleted files"] += audio
        # Folders before links to them: what is found twice keeps its own name.
        folders.sort(key=lambda name: (os.path.islink(os.path.join(parent, name)), name))

    def _is_audio(self, parent: str, name: str) -> bool:
        suffix = _suffix(name)
        closed = suffix in CLOSED_SUFFIXES or (suffix in AV_SUFFIXES and not self._with_av)
        if not closed and suffix not in AUDIO_SUFFIXES | AV_SUFFIXES:
            return False
        if name.startswith("."):
            self.left_out["hidden files"] += not _is_of_macos(os.path.join(parent, name))
            return False
        self._unreadable[suffix] += closed
        return not closed

    def _sorted_once(self, files: list[str]) -> list[str]:
        names: dict[object, str] = {}
        for file in sorted(files, key=lambda file: (os.path.islink(file), self._order(file))):
            if names.setdefault(identity_of(file), file) != file:
                self.left_out["further names of recordings, as links are"] += 1
        return sorted(names.values(), key=self._order)

    def _order(self, file: str) -> list[str]:
        return os.path.relpath(file, self._folder).split(os.sep)

    def _faults(self) -> Iterator[AudioError]:
        for fault in self._failed:
            yield AudioError(f"{fault.filename}: {fault.strerror}")
        unread = {suffix: count for suffix, count in self._unreadable.items() if count}
        if unread:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
            yield AudioError(
                f"{self._folder}: not heard, because their formats cannot be read: {kinds}",
                suggestion=_way_out(frozenset(unread)),
            )
        elif not self.files and not self._failed:
            yield AudioError(f"{self._folder}: no audio files in this folder")


def identity_of(path: str) -> object:
    """Return what is the same for every name of a file: device and inode."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _is_of_macos(path: str) -> bool:
    """Return whether a file is what macOS leaves as ._NAME.wav beside each file of a card."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == APPLE_DOUBLE
    except OSError:
        return False


def _way_out(suffixes: frozenset[str]) -> str:
    if suffixes <= CLOSED_SUFFIXES:
        return "the maker's own program converts them to WAV"
    return f"{how_to_install('av')}, or convert them with ffmpeg"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
