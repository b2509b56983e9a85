"""Cells that several tables have in common, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from edge.clock import rfc3339
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult, Unjudged
from edge.types import Detection

__all__ = [
    "DATED_COLUMNS",
    "ORIGIN_COLUMNS",
    "PROBABILITY_COLUMNS",
    "REASONS",
    "RECORDING_COLUMNS",
    "TRACE_COLUMNS",
    "dated_cells",
    "end_of",
    "local_cell",
    "origin_cells",
    "probability_cells",
    "recording_cells",
    "seconds",
    "top_cells",
    "top_columns",
    "trace_cells",
    "utc_cell",
]

MILLISECONDS = 3
REASONS: tuple[Unjudged, ...] = get_args(Unjudged)

DATED_COLUMNS = ("start_local", "clock_uncertainty_s")
PROBABILITY_COLUMNS = ("probability", "calibration")
ORIGIN_COLUMNS = ("bundle", "variant", "hop_s", "config", "code")
RECORDING_COLUMNS = (
    "duration_s",
    "header_s",
    "missing_s",
    "gap_s",
    "judged_s",
    *(f"unjudged_{reason}_s" for reason in REASONS),
)


# By what a detection can be traced: what made it, and what became of its recording.
TRACE_COLUMNS = (*ORIGIN_COLUMNS, *(f"recording_{name}" for name in RECORDING_COLUMNS))


def seconds(value: float | None, decimals: int = MILLISECONDS) -> str:
    """Return seconds as text, empty where they are not known."""
    return "" if value is None else f"{value:.{decimals}f}"


def end_of(end_s: float, result: ReplayResult, decimals: int) -> float:
    """Return an end in seconds with so many decimals, never after the end of the recording."""
    unit = 10**decimals
    last_s: float = math.floor(result.duration_s * unit) / unit
    return min(round(end_s, decimals), last_s)


def utc_cell(result: ReplayResult, sample: int) -> str:
    """Return the time of a sample, empty where the recording has no date."""
    return rfc3339(result.clock.utc(sample)) if result.clock.dated else ""


def local_cell(result: ReplayResult, sample: int) -> str:
    """Return the local time of a sample with its offset, empty where the zone is not known."""
    local = result.clock.local(sample)
    return local.isoformat(timespec="microseconds") if local is not None else ""


def dated_cells(result: ReplayResult, sample: int) -> list[str]:
    """Return the cells of `DATED_COLUMNS`."""
    return [local_cell(result, sample), f"{result.clock.uncertainty_s:.15g}"]


def origin_cells(provenance: Provenance) -> list[str]:
    """Return the cells of `ORIGIN_COLUMNS`: what made a result, so that two can be told apart."""
    hop_s = "" if provenance.hop_s is None else f"{provenance.hop_s:g}"
    return [provenance.bundle, provenance.variant, hop_s, provenance.config, provenance.code]


def recording_cells(result: ReplayResult) -> list[str]:
    """Return the cells of `RECORDING_COLUMNS`: what became of the recording's audio."""
    effort = result.effort
    return [
        seconds(result.duration_s),
        seconds(effort.header_s),
        seconds(effort.missing_s),
        seconds(effort.gap_s),
        seconds(effort.judged_s),
        *(seconds(effort.unjudged_s.get(reason, 0.0)) for reason in REASONS),
    ]


def trace_cells(result: ReplayResult, provenance: Provenance) -> list[str]:
    """Return the cells of `TRACE_COLUMNS`."""
    return [*origin_cells(result.provenance or provenance), *recording_cells(result)]


def probability_cells(d: Detection, provenance: Provenance) -> list[str]:
    """Return the cells of `PROBABILITY_COLUMNS`, empty where the bundle is not calibrated."""
    probability = provenance.probability(d.label, d.score)
    digest = provenance.calibration_digest
    if probability is None or digest is None:
        return ["", ""]
    return [f"{probability:.4f}", digest]


def top_columns(count: int) -> list[str]:
    """Return the names of two columns for each of the `count` best labels."""
    return [name for i in range(1, count + 1) for name in (f"top{i}", f"top{i}_score")]


def top_cells(d: Detection, count: int) -> Sequence[str]:
    """Return the cells of `top_columns`, empty where a bundle has fewer labels."""
    cells = [cell for s in d.top[:count] for cell in (s.label, f"{s.score:.4f}")]
    return cells + [""] * (2 * count - len(cells))
