"""What the recorders on a broker say of themselves, put together from their retained messages."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

__all__ = ["Fleet", "RecorderState"]

TOPICS = ("info", "status", "health", "state")
SILENT_S = 180.0  # three minutes without a window: it does not listen
LARGEST_BYTES = 5_000_000  # of a message; `info` has thousands of labels
MOST = 100_000  # recorders
DIGITS = 12  # of a digest that people see


@dataclass
class RecorderState:
    """The last message of each kind of one recorder."""

    said: dict[str, Any] = field(default_factory=dict)

    def _mapping(self, topic: str) -> Mapping[str, Any]:
        content = self.said.get(topic)
        return content if isinstance(content, dict) else {}

    @property
    def head(self) -> Mapping[str, Any]:
        """What it says of heads that were sent to it."""
        head = self._mapping("info").get("head")
        return head if isinstance(head, dict) else {}

    @property
    def last_seen(self) -> datetime | None:
        """When it last said anything with a time in it, by its own clock."""
        times = [_time(self._mapping(topic).get("time_utc")) for topic in ("health", "state")]
        times.append(_time(self._mapping("info").get("started_utc")))
        return max((t for t in times if t is not None), default=None)

    def row(self, device: str, now: datetime) -> dict[str, Any]:
        """Return one row of the table, of plain JSON types; what is not known is None."""
        info, health, state = map(self._mapping, ("info", "health", "state"))
        status = self.said.get("status")
        heard = _time(health.get("time_utc"))
        age_s = None if heard is None else (now - heard).total_seconds()
        online = status == "online"
        seen = self.last_seen
        return {
            "device": device,
            "site": info.get("site") or None,
            "status": status,
            "version": info.get("version"),
            "bundle": info.get("bundle"),
            "head": self.head.get("digest"),
            "on_trial": self.head.get("trial"),
            "order": self.head.get("last"),
            "refused": self.head.get("refused"),
            "last_seen_utc": None if seen is None else seen.isoformat(),
            "listening": None if age_s is None else online and age_s < SILENT_S,
            "microphone": _microphone(health),
            "rms_dbfs": health.get("rms_dbfs"),
            "outbox_messages": state.get("outbox_messages"),
            "outbox_bytes": state.get("outbox_bytes"),
            "disk_free_bytes": state.get("disk_free_bytes"),
        }


class Fleet:
    """All recorders below `prefix`. Messages may come from any thread."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._recorders: dict[str, RecorderState] = {}
        self._news_s = time.monotonic()  # when something came that was not known of a recorder

    @property
    def topics(self) -> list[str]:
        """What to subscribe to."""
        return [f"{self._prefix}/+/{topic}" for topic in TOPICS]

    def message(self, topic: str, payload: bytes) -> None:
        """Take a message; whatever it is, it is no more than shown."""
        parts = topic.removeprefix(f"{self._prefix}/").split("/")
        if len(parts) != 2 or parts[1] not in TOPICS or len(payload) > LARGEST_BYTES:
            return
        device, kind = parts
        content = _content(kind, payload)
        with self._lock:
            if device not in self._recorders and len(self._recorders) >= MOST:
                return
            said = self._recorders.setdefault(device, RecorderState()).said
            if kind not in said:
                self._news_s = time.monotonic()
            said[kind] = content

    def wait_until_quiet(self, quiet_s: float, *, most_s: float) -> None:
        """Wait until what is retained has come: no news for `quiet_s`, or `most_s` are over."""
        end_s = time.monotonic() + most_s
        while time.monotonic() < end_s and time.monotonic() - self._news_s < quiet_s:
            time.sleep(0.02)

    def heads(self) -> dict[str, dict[str, Any]]:
        """Return what each recorder that has announced itself says of heads."""
        with self._lock:
            found = self._recorders.items()
            return {name: dict(state.head) for name, state in found if "info" in state.said}

    def rows(self, now: datetime | None = None) -> list[dict[str, Any]]:
        """Return a row for each recorder, by name."""
        at = now or datetime.now(timezone.utc)
        with self._lock:
            return [state.row(name, at) for name, state in sorted(self._recorders.items())]


def _content(kind: str, payload: bytes) -> Any:
    """Return what a payload says: text for the status, an object for the rest; else None."""
    try:
        text = payload.decode()
        if kind == "status":
            return text[:100]
        return json.loads(text, parse_float=_finite, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float | None:
    """Return a number that JSON has, too, when it is written again."""
    number = float(text)
    return number if math.isfinite(number) else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _microphone(health: Mapping[str, Any]) -> str | None:
    """Return how the microphone does, in a word."""
    if not health:
        return None
    return next((fault for fault in ("dead", "stuck") if health.get(fault)), "well")
