"""What a recorder does, on one screen: its store, its disk, its clips."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge.page.place import Shown
from edge.store.events import known_labels
from edge.store.reading import reading
from edge.store.summary import Summary, summarise

__all__ = ["Status", "disk_of", "duration", "sound_words", "status_of", "status_screen"]

MOST_SPECIES = 12


@dataclass(frozen=True, kw_only=True)
class Status:
    """The store's summary, and what is beside it; sizes in bytes."""

    summary: Summary
    place: Shown
    names: dict[str, str]
    store_bytes: int
    disk_free_bytes: int | None
    disk_total_bytes: int | None


def status_of(place: Shown, *, now: datetime | None = None) -> Status:
    """Read what a recorder does; raises `UserError`."""
    now = now or datetime.now(timezone.utc)
    midnight = place.midnight(place.local(now).date())
    with reading(place.store) as db:
        summary = summarise(db, now=now, midnight=midnight)
        names = known_labels(db)
    total, free = disk_of(place.store.parent)
    return Status(
        summary=summary,
        place=place,
        names=names,
        store_bytes=place.store.stat().st_size,
        disk_free_bytes=free,
        disk_total_bytes=total,
    )


def disk_of(folder: Path) -> tuple[int | None, int | None]:
    """Return size and free room of the disk that a folder is on, in bytes."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None, None
    return usage.total, usage.free


def status_screen(status: Status) -> Iterator[str]:
    """Yield what a recorder does, in lines for a terminal."""
    summary, place = status.summary, status.place
    yield f"listening   {_listening(status)}"
    yield f"today       {sound_words(summary)}"
    yield f"microphone  {summary.microphone}"
    yield f"clock       {_clock(summary)}"
    yield f"outbox      {_outbox(summary)}"
    yield f"disk        {_disk(status)}"
    yield f"runs        {_runs(summary)}"
    yield f"store       {place.store}"
    yield f"clips       {place.clips}"
    events = sum(summary.species.values())
    yield f"events      {events} today" + (":" if events else "")
    for label, count in list(summary.species.items())[:MOST_SPECIES]:
        name = "unknown" if label is None else status.names.get(label, label)
        yield f"  {count:6}  {name}"
    if len(summary.species) > MOST_SPECIES:
        yield f"          and {len(summary.species) - MOST_SPECIES} more: edge detections"


def duration(seconds: float) -> str:
    """Return a length of time in the two units that suit it."""
    minutes, hours, days = (int(seconds // size) for size in (60, 3600, 86_400))
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds) % 60} s" if minutes else f"{int(seconds)} s"


def sound_words(summary: Summary) -> str:
    """Return how much was heard today, and how much was not and why."""
    words = {
        "heard_s": "heard",
        "lost_s": "lost",
        "dropped_s": "dropped (too slow)",
        "gated_s": "without a signal",
        "private_s": "private",
    }
    parts = [
        f"{duration(seconds)} {word}"
        for fate, word in words.items()
        if (seconds := summary.seconds.get(fate, 0.0)) >= 1 or fate == "heard_s"
    ]
    return ", ".join(parts)


def _listening(status: Status) -> str:
    summary, place = status.summary, status.place
    if summary.until is None or summary.since is None:
        return "not yet"
    ago = duration(max(0.0, (summary.now - summary.until).total_seconds()))
    if not summary.listening:
        return f"NO: nothing since {place.local(summary.until):%Y-%m-%d %H:%M:%S%z}, {ago} ago"
    length = duration((summary.until - summary.since).total_seconds())
    return f"since {place.local(summary.since):%Y-%m-%d %H:%M%z} ({length}); last sound {ago} ago"


def _clock(summary: Summary) -> str:
    if summary.clock_synced is None:
        return "not known"
    return "set by a time service" if summary.clock_synced else "NOT SET by any time service"


def _outbox(summary: Summary) -> str:
    rows, size = summary.waiting
    lost = f"; {summary.dropped} dropped for room" if summary.dropped else ""
    aside = f"; {summary.aside} set aside" if summary.aside else ""
    return f"{rows} messages wait ({size / 1e6:.1f} MB){lost}{aside}"


def _disk(status: Status) -> str:
    if status.disk_free_bytes is None or not status.disk_total_bytes:
        return "cannot be read"
    share = status.disk_free_bytes / status.disk_total_bytes
    free = f"{status.disk_free_bytes / 1e9:.1f} GB free ({share:.0%})"
    return f"{free}; the store takes {status.store_bytes / 1e6:.0f} MB"


def _runs(summary: Summary) -> str:
    newest = summary.newest
    if newest is None:
        return "not known before the first event"
    bundle, config, code = (newest.text(name)[:12] for name in ("bundle", "config", "code"))
    engine = "/".join(filter(None, (newest.text("backend"), newest.text("variant"))))
    return f"bundle {bundle} on {engine or 'cpu'}, configuration {config}, code {code}"
