"""Results of a replay in states that few recordings are in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from edge.clock import UNDATED_S
from edge.provenance import Provenance
from edge.replay.formats import Format, open_format
from edge.replay.formats.base import ReplayResult

__all__ = ["local_time_in", "rendered", "undated", "with_effort"]


def rendered(
    form: Format, results: Sequence[ReplayResult], provenance: Provenance, *, top: int = 0
) -> str:
    """Return what a format writes of some results."""
    stream = io.StringIO()
    writer = open_format(form, stream, provenance, several=len(results) > 1, top=top)
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()


def with_effort(result: ReplayResult, **changes: Any) -> ReplayResult:
    return replace(result, effort=replace(result.effort, **changes))


def undated(result: ReplayResult) -> ReplayResult:
    """As of a recorder whose clock was never set."""
    return replace(result, clock=replace(result.clock, uncertainty_s=UNDATED_S))


def local_time_in(zone: tzinfo, result: ReplayResult) -> ReplayResult:
    return replace(result, clock=replace(result.clock, zone=zone))
