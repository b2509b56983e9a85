"""The sound of an event of a dataset: cut from its recording when somebody wants to hear it.

Cuts are kept in a bounded folder, each under the id of its event and the fingerprint of its
recording, so that none is ever taken for the sound of another recording at the same path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import ClassVar

from edge.archive.cutting import Excerpt, Span, excerpts, write_excerpt
from edge.archive.stored import channel_in
from edge.archive.stores import is_remote
from edge.errors import AudioError
from edge.files import replacing
from edge.page.bounded import make_room
from edge.page.clips import PlacedClip
from edge.page.dataset.index import DatasetIndex, IndexedRecording
from edge.page.dataset.roots import Roots
from edge.sources.header import audio_facts
from edge.store.events import StoredEvent

__all__ = ["Cuts"]

MARGIN_S = 2.0
LONGEST_S = 120.0  # of an event that goes on for an hour, its beginning
TOGETHER_S = 300.0  # of sound that is cut from one copy
MOST_BYTES = 500_000_000
HEADER_BYTES = 44


class Cuts:
    """Cuts the sound of events from the recordings below `roots` into `folder`. Any thread.

    One is cut at a time, which bounds the memory. See `Clips`.
    """

    of_recordings: ClassVar[bool] = True

    def __init__(
        self, index: DatasetIndex, roots: Roots, folder: Path, *, most_bytes: int = MOST_BYTES
    ) -> None:
        self._index, self._roots, self._folder = index, roots, folder
        self._most_bytes = most_bytes
        self._cutting = threading.Lock()

    def may_have(self, event: StoredEvent) -> bool:
        """Return whether the recording of an event may be opened."""
        return self._roots.allowed(_path(event))

    def has(self, event: StoredEvent) -> bool:
        """Return whether the recording is there as far as a look at its folder tells."""
        path = _path(event)
        return self._roots.allowed(path) and (is_remote(path) or os.path.isfile(path))

    def at_hand(self, event: StoredEvent) -> bool:
        """Return whether it is cut already, or from a recording of this machine."""
        path = _path(event)
        if not is_remote(path) or not self._roots.allowed(path):
            return self.has(event)
        recording = self._index.recording(path)
        return recording is not None and self._file(event, recording).is_file()

    def file(self, event: StoredEvent) -> Path | None:
        """Return the cut of an event, which is made where it can be."""
        placed = self.placed(event)
        return None if placed is None else placed.path

    def placed(self, event: StoredEvent) -> PlacedClip | None:
        """Return the cut of an event, and where in it that is; None where none can be made."""
        try:
            return self.made(event)
        except AudioError:
            return None

    def why_none(self, event: StoredEvent) -> str:
        """Return why none can be made, "" where one can."""
        try:
            self.made(event)
        except AudioError as exc:
            return str(exc)
        return ""

    def made(self, event: StoredEvent) -> PlacedClip:
        """Return what `placed` does; raises `AudioError`, which says why there is none."""
        path = self._roots.opened(_path(event))
        recording = self._index.recording(_path(event))
        if recording is None or recording.heard is None:
            raise AudioError("The dataset does not say which recording it was")
        start_s, end_s = _span(event)
        begin_s, _ = _with_margin(event)
        file = self._file(event, recording)
        with self._cutting:
            if not file.is_file():
                self._cut(event, path, recording)
        facts = audio_facts(str(file))
        duration_s = facts.duration_s or 0.0
        placed_s = min(start_s - begin_s, duration_s)
        return PlacedClip(
            path=file,
            start_s=placed_s,
            end_s=max(placed_s, min(end_s - begin_s, duration_s)),
            duration_s=duration_s,
            sample_rate_hz=facts.sample_rate_hz,
        )

    def _file(self, event: StoredEvent, recording: IndexedRecording) -> Path:
        what = repr((event.id, recording.path, recording.heard))
        name = hashlib.sha256(what.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        return self._folder / f"{name}.wav"

    def _cut(self, event: StoredEvent, path: str, recording: IndexedRecording) -> None:
        wanted = {self._file(event, recording): _with_margin(event)}
        if is_remote(path):  # which is copied whole: more of its events come of the same copy
            wanted |= self._others(recording)
        found = excerpts(
            path,
            list(wanted.values()),
            channel=channel_in(recording.channel),
            heard=recording.heard,
        )
        if not len(found[0].samples):
            raise AudioError(f"{recording.path}: has no sound there")
        # The one that is asked for comes last, so that it is the newest.
        for file, excerpt in reversed(list(zip(wanted, found, strict=True))):
            try:
                if len(excerpt.samples):
                    self._keep(file, excerpt)
            except OSError as exc:
                reason = exc.strerror or exc
                raise AudioError(f"The sound cannot be kept: {file}: {reason}") from exc

    def _others(self, recording: IndexedRecording) -> dict[Path, Span]:
        """Return where other events of a recording are, as many as go into the memory together."""
        found: dict[Path, Span] = {}
        length_s = 0.0
        for event in self._index.events_in(recording.path):
            file, span = self._file(event, recording), _with_margin(event)
            length_s += span[1] - span[0]
            if length_s > TOGETHER_S:
                break
            if not file.is_file():
                found[file] = span
        return found

    def _keep(self, file: Path, found: Excerpt) -> None:
        size = HEADER_BYTES + 2 * len(found.samples)
        with contextlib.suppress(OSError):
            make_room(self._folder, size, most_bytes=self._most_bytes, pattern="*.wav")
        with replacing(file) as staging:
            write_excerpt(staging, found)


def _span(event: StoredEvent) -> Span:
    return event.number_of("start_s") or 0.0, event.number_of("end_s") or 0.0


def _with_margin(event: StoredEvent) -> Span:
    start_s, end_s = _span(event)
    begin_s = max(0.0, start_s - MARGIN_S)
    return begin_s, min(end_s + MARGIN_S, begin_s + LONGEST_S)


def _path(event: StoredEvent) -> str:
    source = event.payload.get("source")
    return source if isinstance(source, str) else ""
