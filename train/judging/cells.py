"""Numbers as they stand in the tables of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["estimate_cell"]


def estimate_cell(estimate: Any, *, sign: bool = False) -> str:
    """Return an estimate, or a plain number, as it stands in a table for people."""
    if not isinstance(estimate, Mapping):
        return "–" if estimate is None else f"{estimate:.2f}"
    if estimate["value"] is None:
        return "–"
    value = f"{estimate['value']:+.3f}" if sign else f"{estimate['value']:.3f}"
    return (
        value
        if estimate["low"] is None
        else f"{value} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
    )
