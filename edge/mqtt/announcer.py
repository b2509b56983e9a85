"""What says who a recorder is: retained messages after each connection, and when asked again."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge.config.sections import MqttConfig
from edge.mqtt.homeassistant import discovery
from edge.mqtt.session import Session
from edge.mqtt.topics import Topics

__all__ = ["Announcer"]

EVERY_S = 1.0  # whoever shouts that Home Assistant was born is not answered more often than this


class Announcer:
    """Publishes `info`, the discovery of Home Assistant and the status. One thread only."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        device: str,
        topics: Topics,
        info: Mapping[str, Any],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._device = device
        self._topics = topics
        self._info = dict(info)
        self._monotonic_s = monotonic_s
        self._due = False
        self._announced_s = -EVERY_S
        self._waiting: deque[tuple[str, str]] = deque()

    def begin(self, session: Session) -> None:
        """Have everything said anew over a new connection."""
        if self._config.home_assistant:
            session.subscribe(f"{self._config.home_assistant_prefix}/status")
        self._due = True
        self._announced_s = -EVERY_S

    def birth(self, payload: bytes) -> None:
        """Note that Home Assistant has started and forgotten; nothing else said there is for us."""
        if payload == b"online":
            self._due = True

    def publish(self, session: Session) -> None:
        """Publish what is due, as far as the broker takes it now."""
        now_s = self._monotonic_s()
        if self._due and now_s - self._announced_s >= EVERY_S:
            self._due = False
            self._announced_s = now_s
            self._waiting = deque(self._introduction())
        while self._waiting and session.room > 0:
            session.publish(*self._waiting.popleft(), retain=True)

    def _introduction(self) -> Iterator[tuple[str, str]]:
        """Yield topics and payloads."""
        yield self._topics.info, json.dumps(self._info, allow_nan=False)
        if self._config.home_assistant:
            topic = f"{self._config.home_assistant_prefix}/device/edge_{self._device}/config"
            announcement = discovery(self._device, base=self._topics.base, info=self._info)
            yield topic, json.dumps(announcement, allow_nan=False)
        yield self._topics.status, "online"
