"""Signals that no microphone should give are told from quiet nights."""

from __future__ import annotations

import numpy as np
import pytest

from edge.detect.signal_health import HealthConfig, signal_health
from edge.types import Array
from tests.support.audio import noise
from tests.support.bundles import tone

N = 8000
RAILED = np.sign(tone(50, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "dead", "stuck"),
    [
        pytest.param(np.zeros(N, np.float32), True, False, id="digital silence"),
        pytest.param(np.full(N, 0.2, np.float32), False, True, id="constant offset"),
        pytest.param(np.full(N, -1.0, np.float32), False, True, id="at the rail"),
        pytest.param(RAILED, False, True, id="railed hum"),
        pytest.param(noise(1, N, level=10 ** (-85 / 20)), False, False, id="quiet night"),
        pytest.param(
            noise(1, N, level=10 ** (-85 / 20)) + np.float32(0.1),
            False,
            False,
            id="quiet with offset",
        ),
        pytest.param(
            np.eye(1, N, dtype=np.float32)[0] * np.float32(0.5),
            False,
            False,
            id="one click in silence",
        ),
        pytest.param(tone(300, 1), False, False, id="tone"),
    ],
)
def test_dead_and_stuck(samples: Array, dead: bool, stuck: bool) -> None:
    health = signal_health(samples, HealthConfig())
    assert (health.dead, health.stuck) == (dead, stuck)
    assert health.gated == (dead or stuck)


def test_levels_of_a_sine() -> None:
    health = signal_health(tone(100, 1, level=0.5) + np.float32(0.25), HealthConfig())
    assert health.rms_dbfs == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert health.peak_dbfs == pytest.approx(20 * np.log10(0.75), abs=0.01)
    assert health.dc == pytest.approx(0.25, abs=1e-4)
    assert health.clip_ratio == 0


def test_clip_ratio_counts_samples_at_full_scale() -> None:
    samples = noise(1, N)
    samples[:800] = 1.0
    assert signal_health(samples, HealthConfig()).clip_ratio == pytest.approx(0.1)


def test_levels_of_silence_are_numbers() -> None:
    health = signal_health(np.zeros(N, np.float32), HealthConfig())
    assert np.isfinite([health.rms_dbfs, health.peak_dbfs]).all()
