"""The health of the microphone, as the samples of a window show it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from edge.section import Section
from edge.types import Array, SignalHealth

__all__ = ["HealthConfig", "signal_health"]

SILENCE = 1e-10  # -200 dBFS: keeps the level of digital silence finite


class HealthConfig(Section):
    """When a window is dead or stuck.

    A 16-bit recording's own rounding noise is near -101 dBFS; microphones are above -90.
    """

    dead_dbfs: Annotated[float, Field(ge=-200, le=0)] = -100.0
    stuck_dc: Annotated[float, Field(gt=0, le=1)] = 1e-3
    clip_level: Annotated[float, Field(gt=0, le=1)] = 0.99
    railed_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5


def signal_health(samples: Array, limits: HealthConfig) -> SignalHealth:
    """Measure samples (n,) float32, full scale 1; the RMS level is without the DC offset."""
    peak = max(float(samples.max()), -float(samples.min()))
    dc = float(np.mean(samples, dtype=np.float64))
    rms = float(np.sqrt(np.mean(np.square(samples - np.float32(dc)), dtype=np.float64)))
    clip_ratio = (
        _clip_ratio(samples, limits.clip_level) if peak >= np.float32(limits.clip_level) else 0.0
    )
    rms_dbfs = _dbfs(rms)
    flat = rms_dbfs < limits.dead_dbfs
    offset = abs(dc) >= limits.stuck_dc
    return SignalHealth(
        rms_dbfs=rms_dbfs,
        peak_dbfs=_dbfs(peak),
        clip_ratio=clip_ratio,
        dc=dc,
        dead=flat and not offset,
        stuck=(flat and offset) or clip_ratio >= limits.railed_ratio,
    )


def _clip_ratio(samples: Array, level: float) -> float:
    return float(np.count_nonzero(np.abs(samples) >= level) / len(samples))


def _dbfs(amplitude: float) -> float:
    return float(20 * np.log10(max(amplitude, SILENCE)))
