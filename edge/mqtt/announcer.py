"""What says who a recorder is: retained messages after each connection, and when asked again."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge.config.sections import MqttConfig
from edge.mqtt.heads import DEAF_S, HeadListener
from edge.mqtt.homeassistant import discovery
from edge.mqtt.pace import Pace
from edge.mqtt.session import Session
from edge.mqtt.state import EVERY_S as STATE_EVERY_S
from edge.mqtt.today import Today
from edge.mqtt.topics import Topics

__all__ = ["Announcer"]

EVERY_S = 1.0  # whoever shouts that Home Assistant was born is not answered more often than this
HEADS_PER_S, HEADS_AT_ONCE = 0.1, 20


class Announcer:
    """Says what is due: `info`, Home Assistant's discovery, the status, today's events, the state.

    One thread only. With `heads`, `info` has what became of heads that were sent.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        device: str,
        topics: Topics,
        info: Mapping[str, Any],
        today: Today,
        state: Callable[[], Mapping[str, Any] | None],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._device = device
        self._topics = topics
        self._info = dict(info)
        self._today = today
        self._state = state
        self.heads: HeadListener | None = None
        self._said_of_heads = 0
        self._heads_pace = Pace(HEADS_PER_S, at_once=HEADS_AT_ONCE, monotonic_s=monotonic_s)
        self._monotonic_s = monotonic_s
        self._due = False
        self._announced_s = self._looked_s = -EVERY_S
        self._said_state_s = -STATE_EVERY_S
        self._said_today: dict[str, Any] | None = None
        self._listens_from_s = 0.0
        self._waiting: deque[tuple[str, str]] = deque()

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self._config.home_assistant_prefix}/status"

    def begin(self, session: Session) -> None:
        """Have everything said anew over a new connection."""
        if self._config.home_assistant and self._monotonic_s() >= self._listens_from_s:
            session.subscribe(self.birth_topic)
        self._due = True
        self._announced_s = -EVERY_S
        self._said_state_s = -STATE_EVERY_S

    def birth(self, payload: bytes) -> None:
        """Note that Home Assistant has started and forgotten; nothing else said there is for us."""
        if payload == b"online":
            self._due = True

    def flooded(self) -> None:
        """Note that more came than a recorder reads, for which it subscribed to one topic."""
        self._listens_from_s = self._monotonic_s() + DEAF_S

    def next(self, waits: Callable[[str], bool]) -> tuple[str, str] | None:
        """Return topic and payload of what is to be said now, if there is any.

        Topics that are to wait stay for later.
        """
        now_s = self._monotonic_s()
        if self._heads_changed():
            self._due = True
        if self._due and now_s - self._announced_s >= EVERY_S:
            self._due = False
            self._announced_s = now_s
            self._said_today = None
            self._waiting = deque(self._introduction())
        if self._config.home_assistant and now_s - self._looked_s >= EVERY_S:
            self._looked_s = now_s
            self._look_at_today()
        if now_s - self._said_state_s >= STATE_EVERY_S:
            self._said_state_s = now_s
            self._say(self._topics.state, self._state())
        for message in self._waiting:
            if not waits(message[0]):
                self._waiting.remove(message)
                return message
        return None

    def put_back(self, topic: str, payload: str) -> None:
        """Say again later what the broker did not take, unless there is something newer."""
        if all(waiting != topic for waiting, _ in self._waiting):
            self._waiting.append((topic, payload))

    def _heads_changed(self) -> bool:
        """Return whether `info` is to be said again; whoever may send heads may send many."""
        if self.heads is None or self.heads.said[0] == self._said_of_heads:
            return False
        if self._due or self._heads_pace.allowance() < 1:
            return False
        self._heads_pace.spend(1)
        return True

    def _look_at_today(self) -> None:
        summary = self._today.summary()
        if summary is not None and summary != self._said_today:
            self._said_today = summary
            self._say(self._topics.today, summary)

    def _say(self, topic: str, content: Mapping[str, Any] | None) -> None:
        """Have something said that takes the place of what waits to be said there."""
        if content is not None:
            self._waiting = deque(message for message in self._waiting if message[0] != topic)
            self._waiting.append((topic, json.dumps(content)))

    def _introduction(self) -> Iterator[tuple[str, str]]:
        """Yield topics and payloads."""
        info = self._info
        if self.heads is not None:
            self._said_of_heads, said = self.heads.said
            info = {**info, "head": said}
        yield self._topics.info, json.dumps(info, allow_nan=False)
        if self._config.home_assistant:
            topic = f"{self._config.home_assistant_prefix}/device/edge_{self._device}/config"
            announcement = discovery(self._device, topics=self._topics, info=self._info)
            yield topic, json.dumps(announcement, allow_nan=False)
        yield self._topics.status, "online"
