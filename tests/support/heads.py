"""Small heads on small trunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import Bundle, Label, Manifest
from edge.bundle.probability import ScoreCalibration
from edge.bundle.rules import MaxLogit
from edge.bundle.top import Top
from edge.bundle.writing import write_head
from edge.types import Array

__all__ = ["tiny_head"]


def tiny_head(
    path: Path,
    trunk: Bundle,
    labels: Mapping[Label, int],
    *,
    threshold: float = 0.0,
    bias: Sequence[float] | None = None,
    weights: Array | None = None,
    card: str = "# Head\n",
    calibration: ScoreCalibration | None = None,
    **changes: Any,
) -> Bundle:
    """Write a head whose logits are those that its trunk has for a label of its own.

    `bias` is added to them, and what `weights` (D, K) make of the embedding. `labels` says where
    each of them stands in the trunk; -1, where that lacks it, has -6. The best must be at least
    -`threshold`, or the window is rejected.
    """
    dimensions, own = len(trunk.golden.embedding), np.array(list(labels.values()))
    others = np.setdiff1d(np.arange(len(trunk.labels)), own)
    top = Top(
        weights=np.zeros((dimensions, len(labels)), np.float32) if weights is None else weights,
        bias=np.array(bias or [0.0] * len(labels), np.float32),
        gain=1.0,
        own=own,
        others=others,
    )
    values = {
        "name": path.name,
        "labels": tuple(labels),
        "frontend": trunk.frontend,
        "activation": "softmax_other",
        "rule": "max_logit",
        "threshold": threshold,
        "scale": 1.0,
        "training_data": "0" * 64,
        "code": "0" * 64,
        "metrics": {},
    }
    manifest = Manifest(**{**values, **changes})
    return write_head(
        path, manifest, trunk=trunk, top=top, rule=MaxLogit(), card=card, calibration=calibration
    )
