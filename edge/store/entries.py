"""What is entered into the history and, in the same transaction, queued for every sink."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from edge.store.dating import Database, Dating
from edge.store.effort import EffortMinute
from edge.store.history import History
from edge.store.ledger import forget_open
from edge.store.outbox import Kind, Outbox
from edge.store.payloads import written
from edge.types import Array

__all__ = ["Entries"]


class Entries:
    """Enters detections, minutes and levels; the caller holds a transaction around every method.

    Each returns whether something was queued for `sinks`. `monotonic` gives seconds.
    """

    def __init__(
        self,
        db: Database,
        history: History,
        outbox: Outbox,
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._db = db
        self._history = history
        self._outbox = outbox
        self._monotonic = monotonic

    def detection(
        self,
        payload: Mapping[str, Any],
        *,
        sinks: tuple[str, ...],
        dating: Dating,
        embedding: Array | None,
        network: str,
    ) -> bool:
        """Enter a detection; see `Store.record`."""
        key = f"{payload['id']}/{payload['state']}"
        text = written(payload)
        added = self._history.add_detection(
            key, payload, text, dating=dating, embedding=embedding, network=network
        )
        if added:
            self._queue(sinks, "detection", key, text, dating)
        return added

    def minute(
        self,
        minute: EffortMinute,
        payload: Mapping[str, Any],
        *,
        sinks: tuple[str, ...],
        stream: str,
        dating: Dating,
    ) -> bool:
        """Enter a minute of `stream` in place of its note."""
        key = f"{stream}/{minute.start_sample}"
        forget_open(self._db, stream)
        added = self._history.add_minute(key, minute, start_utc=payload["start_utc"], dating=dating)
        if added:
            self._queue(sinks, "effort", key, written(payload), dating)
        return added

    def level(self, payload: Mapping[str, Any], *, sinks: tuple[str, ...], dating: Dating) -> bool:
        """Enter the state of the microphone."""
        text = written(payload)
        self._history.add_level(text, dating=dating)
        self._queue(sinks, "health", uuid.uuid4().hex, text, dating)
        return True

    def _queue(
        self, sinks: tuple[str, ...], kind: Kind, key: str, text: str, dating: Dating
    ) -> None:
        stored_us = round(self._monotonic() * 1e6)
        for sink in sinks:
            self._outbox.add(sink, kind, key, text, dating=dating, stored_us=stored_us)
