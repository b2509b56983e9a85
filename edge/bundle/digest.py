"""The one way to name a value by its content: sha256 of its canonical JSON."""

from __future__ import annotations

import hashlib
import json

__all__ = ["canonical_digest"]


def canonical_digest(value: object) -> str:
    """Return the sha256, in hexadecimal, of plain JSON types with their keys sorted.

    Raises ValueError for NaN and infinity, which JSON does not have, and TypeError for other types.
    """
    canonical = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
