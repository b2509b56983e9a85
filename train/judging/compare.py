"""Evaluated runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["compare"]

Report = dict[str, Any]


def compare(
    reports: Mapping[str, Sequence[Report]], metrics: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return a row per system: mean and standard deviation over its runs of some numbers.

    `metrics` maps a column to the path of an estimate in the report, e.g. {"AUROC": ("windows",
    "open", "unknown species", "auroc")}. The deviation of a single run is None.
    """
    rows = []
    for system, runs in reports.items():
        row: dict[str, Any] = {"system": system, "runs": len(runs)}
        for column, path in metrics.items():
            values = [value for run in runs if (value := _follow(run, path)) is not None]
            several = len(values) > 1
            row[column] = round(float(np.mean(values)), 4) if values else None
            row[f"{column} sd"] = round(float(np.std(values, ddof=1)), 4) if several else None
        rows.append(row)
    return rows


def _follow(report: Report, path: Sequence[str]) -> float | None:
    node: Any = report
    for key in path:
        node = node.get(key)  # a report of an earlier version lacks some
        if node is None:
            return None
    value = node["value"] if isinstance(node, Mapping) else node
    return None if value is None else float(value)
