"""Detections that wait for a store."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import cast

import numpy as np

from edge.clock import Clock
from edge.recorder.backlog import WaitingDetection
from edge.recorder.plan import RecorderPlan
from edge.types import Detection, EventState, SignalHealth
from tests.support.store import SYNCED

__all__ = ["waiting"]

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
QUIET = SignalHealth(
    rms_dbfs=-40.0, peak_dbfs=-20.0, clip_ratio=0.0, dc=0.0, dead=False, stuck=False
)


def waiting(number: int, state: EventState = "new") -> WaitingDetection:
    """A state of the event `number`, one second long."""
    event = Detection(
        id=f"{number:032x}",
        state=state,
        label="low_hummer",
        nearest="low_hummer",
        score=0.9,
        novelty=0.1,
        top=(),
        start_sample=number,
        end_sample=number + 8000,
        peak_sample=number,
        sample_rate_hz=8000,
        windows=1,
        health=QUIET,
        embedding=np.zeros(4, np.float32),
    )
    clock = Clock(
        start_utc=NOON, sample_rate_hz=8000, source="system", synced=True, uncertainty_s=0.1
    )
    return WaitingDetection(
        event=event, clip=None, clock=clock, dating=SYNCED, plan=cast(RecorderPlan, None)
    )
