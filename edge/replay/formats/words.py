"""Lengths, times and efforts in words, for people."""

from __future__ import annotations

from collections.abc import Mapping

from edge.clock import ANY_ZONE_S, Clock
from edge.replay.formats.base import RecordingEffort, Unjudged

__all__ = ["clock_time", "length", "unjudged_words", "where_times_are_from"]

REASONS: dict[Unjudged, str] = {
    "dead": "nothing but silence",
    "stuck": "constant or railed at full scale",
    "short": "too short for a window",
}
LONG_S = 120  # from here on people think in minutes
HOUR_S = 3600


def clock_time(seconds: float) -> str:
    """Return seconds as h:mm:ss.s, without hours where there are none."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def length(seconds: float) -> str:
    """Return how long something is, in the unit that suits it."""
    if seconds >= LONG_S:
        return clock_time(seconds)
    return f"{seconds:.1f} s" if seconds >= 0.05 else f"{seconds * 1000:.2g} ms"


def unjudged_words(effort: RecordingEffort, verb: str = "") -> str:
    """Return how much of the audio was not judged and why, empty where all of it was.

    `verb` makes a sentence of it.
    """
    reasons = {reason: s for reason, s in effort.unjudged_s.items() if s > 0}
    if not reasons:
        return ""
    share = f"{length(sum(reasons.values()))} of {length(effort.audio_s)}"
    return f"{share} {verb}not judged: {_because(reasons)}"


def _because(reasons: Mapping[Unjudged, float]) -> str:
    if len(reasons) == 1:
        return "".join(REASONS[reason] for reason in reasons)
    return ", ".join(f"{length(s)} {REASONS[reason]}" for reason, s in reasons.items())


def where_times_are_from(clock: Clock) -> str:
    """Return the source of a recording's start time, and how far it may be off."""
    if not clock.dated:
        return f"{clock.source} (no date: the recorder's clock was never set)"
    off_s = clock.uncertainty_s
    if off_s == 0:
        return clock.source
    within = f"{off_s / HOUR_S:g} h" if off_s >= HOUR_S else f"{off_s:g} s"
    why = ": no time zone is written" if off_s == ANY_ZONE_S else ""
    return f"{clock.source} (within {within}{why})"
