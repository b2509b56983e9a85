"""Where the recorder of this machine keeps what it has heard, and what time is there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from edge.clock import parse_start
from edge.errors import ConfigError
from edge.page.clips import ClipFolder, Clips

if TYPE_CHECKING:
    from edge.config.config import Config

__all__ = ["Place", "Shown", "parse_since", "place_of"]

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a page shows: a store, clips, and the zone of the place; and where it keeps its own.

    Of a dataset, there is no configuration, the store is an index, and clips are made.
    """

    config: Config | None
    store: Path
    clips: Clips
    labels: Path
    pictures: Path
    zone: tzinfo | None

    def local(self, at: datetime) -> datetime:
        """Return a time in the recorder's zone; where that is not configured, the system's."""
        return at.astimezone(self.zone)

    def midnight(self, day: date) -> datetime:
        """Return when a day begins."""
        begins = datetime.combine(day, time())
        return begins.astimezone() if self.zone is None else begins.replace(tzinfo=self.zone)


@dataclass(frozen=True, kw_only=True)
class Place(Shown):
    """What is read of a recorder; `told` is what people were told of it."""

    config: Config
    clips: ClipFolder
    told: Path


def place_of(file: Path | None) -> Place:
    """Return the place that a configuration names, that of the installed recorder without one.

    Raises `ConfigError`.
    """
    from edge.config.config import load_config
    from edge.config.paths import INSTALLED, STATE

    environ = dict(os.environ)
    if file is None and INSTALLED.is_file():
        file = INSTALLED
    if file == INSTALLED:
        environ.setdefault("STATE_DIRECTORY", STATE)
    config = load_config(file, environ=environ)
    # systemd gives several with colons between them; by hand, all of it is beside the store.
    beside = config.store.path.parent
    state, cache = (
        Path(environ.get(f"{name}_DIRECTORY", "").partition(":")[0] or beside)
        for name in ("STATE", "CACHE")
    )
    return Place(
        config=config,
        store=config.store.path,
        clips=ClipFolder(config.clips.folder),
        labels=state / "labels" / "labels.db",
        pictures=cache / "pictures",
        told=state / "notify" / "notify.db",
        zone=config.site.zone,
    )


def parse_since(text: str, *, now: datetime, place: Shown) -> datetime:
    """Return the time that `today`, `yesterday`, `3h`, `2d`, a date or RFC 3339 name.

    Raises `ConfigError`.
    """
    today = place.local(now).date()
    if text in ("today", "yesterday"):
        return place.midnight(today - timedelta(days=text == "yesterday"))
    if text[:-1].isdecimal() and text[-1:] in UNITS and len(text) <= 6:
        return now - timedelta(**{UNITS[text[-1]]: int(text[:-1])})
    try:
        return place.midnight(date.fromisoformat(text))
    except ValueError:
        pass
    try:
        return parse_start(text)
    except ConfigError as exc:
        reason = "is no time: today, yesterday, 3h, 2d, 2026-05-01 or 2026-05-01T05:30:00Z"
        raise ConfigError(reason, key="--since", value=text) from exc
