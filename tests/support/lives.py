"""What there was to see of a whole recorder that lived through faults."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.types import Array
from tests.support.audio import noise
from tests.support.bundles import SPEC, tone
from tests.support.faults import Watch

RATE_HZ = SPEC.sample_rate_hz
BRIEF = {"cooldown_s": 0.3, "longest_s": 5.0, "update_s": 1.0}
FAR = 10**9
NO_SENSORS = Path("/nonexistent")  # this machine's own may stand still


def silence(seconds: float) -> Array:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def calls() -> Array:
    """Every species and an unknown, each ended by silence; 10 s."""
    sounds = (tone(300, 1.5), tone(1000, 1.5), tone(3000, 1.5), noise(1.5))
    return np.concatenate([part for sound in sounds for part in (sound, silence(1.0))])


@dataclass
class Life:
    """What there was to see of a recorder: `watch` its metrics, `store` where its rows are."""

    watch: Watch
    store: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.store)) as db:
            return db.execute(query).fetchall()

    def payloads(self) -> list[dict[str, Any]]:
        return [
            json.loads(text)
            for (text,) in self.rows("SELECT payload FROM detections ORDER BY number")
        ]

    def states(self) -> list[str]:
        try:
            query = "SELECT state FROM detections ORDER BY number"
            return [state for (state,) in self.rows(query)]
        except sqlite3.OperationalError:
            return []  # not yet made


def no_deliveries(*parts: object) -> list[Any]:
    return []
