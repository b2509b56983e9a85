"""What detections are called in front of people."""

from __future__ import annotations

from edge.bundle.labels import UNKNOWN
from edge.provenance import Provenance
from edge.types import Detection

__all__ = ["display_name"]


def display_name(d: Detection, provenance: Provenance) -> str:
    """Return the species' common name, or that it is unknown and what it is nearest to."""
    if d.label is None:
        return f"{UNKNOWN} (nearest: {provenance.common_name(d.nearest)})"
    return provenance.common_name(d.label)
