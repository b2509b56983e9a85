"""What follows on the model while a recording is replayed."""

from __future__ import annotations

from dataclasses import dataclass

from edge.detect.site import Expected
from edge.detect.smoothing import Smoothing
from edge.detect.tracker import Tracker

__all__ = ["Stages"]


@dataclass(frozen=True, kw_only=True)
class Stages:
    """What follows on the model; each recording has its own."""

    site: Expected
    smoothing: Smoothing
    tracker: Tracker
