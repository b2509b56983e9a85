"""The prediction of a window that no model has judged."""

from __future__ import annotations

import numpy as np

from edge.detect.signal_health import HealthConfig, signal_health
from edge.errors import BackendError
from edge.types import Prediction, Window

__all__ = ["NOTHING", "unjudged"]

NOTHING = np.empty(0, np.float32)


def unjudged(window: Window, limits: HealthConfig) -> Prediction:
    """Return the prediction of a window before it is judged: all that there is of a gated one.

    Raises `BackendError` for samples that are NaN or infinite.
    """
    if not np.isfinite(window.samples).all():
        raise BackendError("the sound has samples that are NaN or infinite")
    return Prediction(
        start_sample=window.start_sample,
        end_sample=window.end_sample,
        sample_rate_hz=window.sample_rate_hz,
        label=None,
        nearest=None,
        score=0.0,
        novelty=1.0,
        top=(),
        health=signal_health(window.samples, limits),
        scores=NOTHING,
        embedding=NOTHING,
    )
