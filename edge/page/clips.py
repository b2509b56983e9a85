"""The sound files of events: which is there, and where in it the event is.

A recorder keeps them in a folder. Of a dataset, they are cut from the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from edge.errors import AudioError
from edge.sources.header import audio_facts
from edge.store.events import StoredEvent

__all__ = ["ClipFolder", "Clips", "PlacedClip", "clip_in"]

SUFFIXES = (".flac", ".wav")


@dataclass(frozen=True, kw_only=True)
class PlacedClip:
    """A clip, and from where to where in it its event reaches, in seconds."""

    path: Path
    start_s: float
    end_s: float
    duration_s: float
    sample_rate_hz: int


class Clips(Protocol):
    """The clips of events. Any thread; one that has to be made may take seconds.

    `of_recordings`: a table names the recording of an event rather than its clip.
    """

    of_recordings: ClassVar[bool]

    def may_have(self, event: StoredEvent) -> bool:
        """Return whether there may be one, without a look at any file, for lists of many."""
        ...

    def has(self, event: StoredEvent) -> bool:
        """Return whether there is one or could be made, as far as a short look tells."""
        ...

    def at_hand(self, event: StoredEvent) -> bool:
        """Return whether it takes no more than a moment to have it."""
        ...

    def file(self, event: StoredEvent) -> Path | None:
        """Return its file; None where there is none."""
        ...

    def placed(self, event: StoredEvent) -> PlacedClip | None:
        """Return where the event is in it; None where there is none that can be read."""
        ...

    def why_none(self, event: StoredEvent) -> str:
        """Return why there is none, where more can be said of it than its message says."""
        ...


class ClipFolder:
    """The clips that a recorder has written into `folder`; see `Clips`.

    What a message says is not trusted: nothing outside of the folder is ever named.
    """

    of_recordings: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def may_have(self, event: StoredEvent) -> bool:
        """See `Clips.may_have`."""
        return event.clip is not None

    def has(self, event: StoredEvent) -> bool:
        """See `Clips.has`."""
        return self.file(event) is not None

    def at_hand(self, event: StoredEvent) -> bool:
        """See `Clips.at_hand`."""
        return self.has(event)

    def file(self, event: StoredEvent) -> Path | None:
        """See `Clips.file`."""
        return clip_in(self.folder, event.clip or "")

    def placed(self, event: StoredEvent) -> PlacedClip | None:
        """See `Clips.placed`."""
        path = self.file(event)
        if path is None:
            return None
        try:
            return _placed(path, event)
        except AudioError:
            return None

    def why_none(self, event: StoredEvent) -> str:
        """See `Clips.why_none`."""
        return ""


def clip_in(folder: Path, name: str) -> Path | None:
    """Return the file that a message names below a folder of clips, None where there is none."""
    if not name or "\0" in name:
        return None
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        found = path.is_relative_to(root) and path.suffix in SUFFIXES and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a circle of links
        return None
    return path if found else None


def _placed(path: Path, event: StoredEvent) -> PlacedClip:
    """Return where an event is, by the sample that its clip says it begins with; raises
    `AudioError`.
    """
    facts = audio_facts(str(path))
    duration_s = facts.duration_s or 0.0
    rate_hz = event.number_of("sample_rate_hz")
    first, last = (event.number_of(f"{end}_sample") for end in ("start", "end"))
    try:
        begin = int(facts.metadata.guano["Edge|StartSample"])
    except (KeyError, ValueError):
        begin = None
    if begin is None or first is None or last is None or not rate_hz:
        start_s, end_s = 0.0, duration_s  # of another program: all of it is the event
    else:
        start_s, end_s = ((sample - begin) / rate_hz for sample in (first, last))
    start_s = min(max(start_s, 0.0), duration_s)
    return PlacedClip(
        path=path,
        start_s=start_s,
        end_s=max(start_s, min(end_s, duration_s)),
        duration_s=duration_s,
        sample_rate_hz=facts.sample_rate_hz,
    )
