"""The recordings that a person means by files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from edge.errors import AudioError
from edge.sources.file import AUDIO_SUFFIXES

__all__ = ["find_recordings"]


def find_recordings(paths: Sequence[str]) -> list[str | AudioError]:
    """Return the recordings that `paths` name, in order; faults keep their place.

    A folder gives all audio files below it, sorted.
    """
    found: list[str | AudioError] = []
    for path in paths:
        found += _in_folder(path) if os.path.isdir(path) else [path]
    return found


def _in_folder(folder: str) -> list[str | AudioError]:
    failed: list[OSError] = []
    files = sorted(
        _audio_below(folder, failed), key=lambda file: os.path.relpath(file, folder).split(os.sep)
    )
    faults = [AudioError(f"{fault.filename}: {fault.strerror}") for fault in failed]
    if not files and not faults:
        faults.append(AudioError(f"{folder}: no audio files in this folder"))
    return [*files, *faults]


def _audio_below(folder: str, failed: list[OSError]) -> Iterator[str]:
    for parent, _, names in os.walk(folder, onerror=failed.append):
        for name in names:
            # A leading dot: macOS leaves ._NAME.wav beside each file on the cards of recorders.
            if os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield os.path.join(folder, os.path.relpath(os.path.join(parent, name), folder))
