"""The sound files of events: which is there, and where in it the event is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import AudioError
from edge.sources.header import audio_facts
from edge.store.events import StoredEvent

__all__ = ["PlacedClip", "clip_file", "clip_in", "placed_clip"]

SUFFIXES = (".flac", ".wav")


@dataclass(frozen=True, kw_only=True)
class PlacedClip:
    """A clip, and from where to where in it its event reaches, in seconds."""

    path: Path
    start_s: float
    end_s: float
    duration_s: float
    sample_rate_hz: int


def clip_file(folder: Path, event: StoredEvent) -> Path | None:
    """Return the file of an event below the folder of clips, None where there is none."""
    return clip_in(folder, event.clip or "")


def clip_in(folder: Path, name: str) -> Path | None:
    """Return the file that a message names below the folder of clips, None where there is none.

    What a message says is not trusted: nothing outside of the folder is ever named.
    """
    if not name or "\0" in name:
        return None
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        found = path.is_relative_to(root) and path.suffix in SUFFIXES and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a circle of links
        return None
    return path if found else None


def placed_clip(folder: Path, event: StoredEvent) -> PlacedClip | None:
    """Return where an event is in its clip, by the sample that the clip says it begins with.

    None where there is no clip that can be read.
    """
    path = clip_file(folder, event)
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
