"""What a message says: a title for the screen of a phone, and a few lines of plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from edge.config.config import Config
from edge.notify.plain import plain
from edge.notify.rules import Rule
from edge.page.place import Place
from edge.page.status import duration
from edge.store.events import StoredEvent

__all__ = ["Wording", "fault_words", "joined_words", "name_of", "words_of"]

MOST_LINES = 30
REASONS = {
    "first_ever": "first ever at {site}",
    "first_today": "first today at {site}",
    "species": "heard at {site}",
}
FAULTS = {
    "microphone": ("no sound from the microphone", "the microphone gives sound again"),
    "recorder": ("the recorder does not listen", "the recorder listens again"),
    "disk": ("the disk is nearly full", "the disk has room again"),
}
ADVICE = {
    "microphone": "Is it plugged in, and does edge check find it?",
    "recorder": "Is it switched on? journalctl -u edge says why it ended.",
    "disk": "Something else fills it: detections go on, without sound first.",
}


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A message: `title`, `body`, and `line`, which stands for it where several are joined."""

    title: str
    body: str
    line: str


def name_of(event: StoredEvent) -> str:
    """Return what a species is called in a message."""
    return plain(event.common_name) or plain(event.label or "") or "unknown"


def words_of(event: StoredEvent, rule: Rule, place: Place) -> Wording:
    """Return the message about an event that `rule` tells of."""
    name, scientific = name_of(event), plain(event.scientific_name)
    local = place.local(event.start)
    what = REASONS[rule].format(site=site_of(place.config))
    known = f"{name} ({scientific})" if scientific and scientific != name else name
    sure = f"score {event.score:.2f}"
    if event.probability is not None:
        sure = f"{_percent(event.probability)} likely right, {sure}"
    lines = [
        f"{known}, {what}.",
        f"{local:%Y-%m-%d %H:%M:%S} {_zone(local)}, {event.length_s:.1f} s long; {sure}.",
    ]
    page = place.config.notify.page
    if page is not None:
        lines.append(f"{page.rstrip('/')}/event/{quote(event.id, safe='')}")
    return Wording(title=f"{name}: {what}", body="\n".join(lines), line=f"{local:%H:%M} {name}")


def fault_words(fault: str, *, over: bool, since: datetime, now: datetime, place: Place) -> Wording:
    """Return the message that a fault has begun, or is `over`."""
    what = f"{site_of(place.config)}: {FAULTS[fault][over]}"
    local = place.local(since)
    length = duration(max(0.0, (now - since).total_seconds()))
    body = f"{what}, since {local:%Y-%m-%d %H:%M} {_zone(local)}. {ADVICE[fault]}"
    if over:
        body = f"{what}, after {length}."
    at = place.local(now if over else since)
    return Wording(title=what, body=body, line=f"{at:%H:%M} {FAULTS[fault][over]}")


def joined_words(lines: Sequence[str], place: Place) -> Wording:
    """Return one message for several that waited for the end of the quiet time."""
    title = f"{site_of(place.config)}: {len(lines)} messages of the quiet time"
    shown = list(lines[:MOST_LINES])
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more")
    return Wording(title=title, body="\n".join(shown), line=title)


def site_of(config: Config) -> str:
    """Return what people call the site."""
    return plain(config.device.site) or plain(config.device.id or "") or "this site"


def _percent(probability: float) -> str:
    return f"{min(max(round(100 * probability), 1), 99)} %"


def _zone(local: datetime) -> str:
    name = local.tzname() or ""
    return name if name.isalpha() else f"{local:%z}"
