"""A day in the life of a recorder, put into its store in seconds."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone

from edge.clock import Clock, rfc3339
from edge.store.effort import EffortMinute
from edge.store.store import Store
from edge.types import SignalHealth
from edge.wire import effort_payload, health_payload
from tests.support.store import BOOT, SYNCED, payload

__all__ = ["RATE_HZ", "name_of", "record_day"]

RATE_HZ = 22_050
BEGAN = datetime(2024, 5, 1, 5, 30, tzinfo=timezone.utc)
CLOCK = Clock(
    start_utc=BEGAN, sample_rate_hz=RATE_HZ, source="system", synced=True, uncertainty_s=0.01
)
QUIET = SignalHealth(
    rms_dbfs=-50.0, peak_dbfs=-30.0, clip_ratio=0.0, dc=0.0, dead=False, stuck=False
)


def record_day(store: Store, *, seed: int, minutes: int = 1440) -> list[str]:
    """Record detections, with a row of effort and of health for every minute.

    Returns the names of all messages, in order; a detection has one for its beginning and one for
    its end.
    """
    # What this writes a second apart stands for a day: the disk need not be asked after each.
    store._db.execute("PRAGMA synchronous=OFF")
    dice = random.Random(seed)
    names: list[str] = []
    number = 0
    for minute in range(minutes):
        at = BEGAN + timedelta(minutes=minute)
        for _ in range(dice.choice((0, 0, 0, 0, 1, 3))):
            for state in ("new", "end"):
                event = payload(number, state=state, start_utc=rfc3339(at))
                store.record(event, dating=SYNCED)
                names.append(name_of("detection", event))
            number += 1
        health = health_payload(QUIET, device="r1", boot_id=BOOT, time=at, clock=CLOCK)
        store.record_health(health, dating=SYNCED)
        heard = EffortMinute(
            start_sample=minute * 60 * RATE_HZ,
            end_sample=(minute + 1) * 60 * RATE_HZ,
            sample_rate_hz=RATE_HZ,
            heard=60 * RATE_HZ,
        )
        effort = effort_payload(heard, device="r1", boot_id=BOOT, clock=CLOCK)
        store.record_effort(heard, effort, stream="s", dating=SYNCED)
        names += [name_of("health", health), name_of("effort", effort)]
    return names


def name_of(kind: str, message: dict[str, object]) -> str:
    """What a message is about; `kind` is the level of its topic below the recorder's."""
    keys = {"detection": ("id", "state"), "effort": ("start_utc",), "health": ("time_utc",)}[kind]
    return " ".join([kind, *(str(message[key]) for key in keys)])
