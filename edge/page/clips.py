"""The sound files of events: which is there, and where in it the event is.

A recorder keeps them in a folder. Of a dataset, they are cut from the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.errors import AudioError
from edge.sources.header import audio_facts
from edge.store.events import StoredEvent

__all__ = [
    "ClipMaker",
    "Clips",
    "PlacedClip",
    "clip_at_hand",
    "clip_file",
    "clip_in",
    "has_clip",
    "may_have_clip",
    "placed_clip",
    "why_no_clip",
]

SUFFIXES = (".flac", ".wav")


@dataclass(frozen=True, kw_only=True)
class PlacedClip:
    """A clip, and from where to where in it its event reaches, in seconds."""

    path: Path
    start_s: float
    end_s: float
    duration_s: float
    sample_rate_hz: int


class ClipMaker(Protocol):
    """Makes the clip of an event when it is asked for. Any thread; making one may take seconds."""

    def may_have(self, event: StoredEvent) -> bool:
        """Return whether there may be one, without a look at any file."""
        ...

    def has(self, event: StoredEvent) -> bool:
        """Return whether one could be made, as far as a short look tells."""
        ...

    def at_hand(self, event: StoredEvent) -> bool:
        """Return whether it takes no more than a moment to have it."""
        ...

    def placed(self, event: StoredEvent) -> PlacedClip:
        """Return it; raises `AudioError`, which says why there is none."""
        ...


Clips = Path | ClipMaker


def may_have_clip(clips: Clips, event: StoredEvent) -> bool:
    """Return whether an event may have a clip, for lists of many."""
    return event.clip is not None if isinstance(clips, Path) else clips.may_have(event)


def has_clip(clips: Clips, event: StoredEvent) -> bool:
    """Return whether an event has a clip, without making one."""
    return clip_file(clips, event) is not None if isinstance(clips, Path) else clips.has(event)


def clip_at_hand(clips: Clips, event: StoredEvent) -> bool:
    """Return whether an event has a clip that many may be shown of at once."""
    return clip_file(clips, event) is not None if isinstance(clips, Path) else clips.at_hand(event)


def clip_file(clips: Clips, event: StoredEvent) -> Path | None:
    """Return the file of an event, which is made where it can be; None where there is none.

    What a message says is not trusted: nothing outside of a folder of clips is ever named.
    """
    if not isinstance(clips, Path):
        placed = placed_clip(clips, event)
        return None if placed is None else placed.path
    return clip_in(clips, event.clip or "")


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


def placed_clip(clips: Clips, event: StoredEvent) -> PlacedClip | None:
    """Return where an event is in its clip, by the sample that the clip says it begins with.

    None where there is no clip that can be read.
    """
    if not isinstance(clips, Path):
        try:
            return clips.placed(event)
        except AudioError:
            return None
    path = clip_file(clips, event)
    if path is None:
        return None
    try:
        facts = audio_facts(str(path))
    except AudioError:
        return None
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


def why_no_clip(clips: Clips, event: StoredEvent) -> str:
    """Return why an event has no clip, where more can be said of it than its message says."""
    if isinstance(clips, Path):
        return ""
    try:
        clips.placed(event)
    except AudioError as exc:
        return str(exc)
    return ""
