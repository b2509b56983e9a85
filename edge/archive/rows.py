"""Results of recordings as rows of the tables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, get_args

from edge.archive.fingerprint import Fingerprint
from edge.archive.parquet import Row
from edge.clock import Clock
from edge.errors import STRAY_BYTES
from edge.provenance import Provenance
from edge.replay.formats.base import ReplayResult, Unjudged
from edge.replay.formats.jsonl import detection_payloads
from edge.types import Detection

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Heard", "RowMaker", "Status", "path_cell"]

# What became of a recording: `quarantined` is one that has twice killed the process that heard it.
Status = Literal["heard", "failed", "quarantined"]
ROW_BYTES = 3_000  # of a detection
# Backslashes before a byte that is not UTF-8, or before what such a byte becomes.
MISTAKABLE = re.compile(r"\\+(?=[\udc80-\udcff]|x[89a-f][0-9a-f])")


@dataclass(frozen=True, kw_only=True)
class Heard:
    """All rows of one recording: the one of `files`, those of its `detections`, and those of
    further tables, which lack what stands in `file`, too.
    """

    file: Row
    detections: tuple[Row, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        further = sum(table.nbytes for table in self.tables.values())
        return ROW_BYTES * (1 + len(self.detections)) + further


class RowMaker:
    """Makes the rows of recordings that one model has heard.

    `site` is that of all of them; None takes the name of the folder that a recording stands in.
    """

    def __init__(self, provenance: Provenance, *, site: str | None = None) -> None:
        self._provenance = provenance
        self._site = site
        origin = provenance.origin
        self._origin: Row = {
            **{name: origin[name] for name in ("bundle", "variant", "backend", "config", "code")},
            "trunk": origin.get("trunk"),
            "hop_s": provenance.hop_s,
        }

    def heard(
        self,
        result: ReplayResult,
        fingerprint: Fingerprint | None,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> Heard:
        """Return the rows of a recording that was heard, `fingerprint` being that of before it."""
        tables = tables or {}
        latitude, longitude = result.position or (None, None)
        effort, clock = result.effort, result.clock
        reasons: tuple[Unjudged, ...] = get_args(Unjudged)
        file = {
            **self._file(result.file, fingerprint, "heard", "; ".join(result.notes) or None),
            **_clock_cells(clock),
            "start_utc": clock.start_utc if clock.dated else None,
            "month": _month(clock),
            "duration_s": result.duration_s,
            "header_s": effort.header_s,
            "audio_s": effort.audio_s,
            "judged_s": effort.judged_s,
            **{f"unjudged_{why}_s": effort.unjudged_s.get(why, 0.0) for why in reasons},
            "missing_s": effort.missing_s,
            "gap_s": effort.gap_s,
            "detections": len(result.detections),
            "unknowns": sum(d.label is None for d in result.detections),
            "below_precision": effort.below_precision,
            "identity": result.identity,
            "channel": str(result.channel),
            "latitude": latitude,
            "longitude": longitude,
            "clock_utc": clock.start_utc,
            **{name: len(table) for name, table in tables.items()},
        }
        return Heard(file=file, detections=tuple(self._detections(result)), tables=tables)

    def not_heard(
        self, path: str, fingerprint: Fingerprint | None, status: Status, reason: str
    ) -> Heard:
        """Return the rows of a recording of which nothing was heard."""
        return Heard(file=self._file(path, fingerprint, status, reason))

    def _file(
        self, path: str, fingerprint: Fingerprint | None, status: Status, reason: str | None
    ) -> Row:
        known = {} if fingerprint is None else fingerprint.cells()
        return {
            **self._place(path),
            **known,
            "status": status,
            "reason": None if reason is None else reason.translate(STRAY_BYTES),
            "heard_utc": datetime.now(timezone.utc),
            **self._origin,
        }

    def _detections(self, result: ReplayResult) -> list[Row]:
        shared = {
            **self._place(result.file),
            **_clock_cells(result.clock),
            **self._origin,
            "month": _month(result.clock),
        }
        pairs = zip(result.detections, detection_payloads(result, self._provenance), strict=True)
        return [
            {**_detection_cells(payload, dated=result.clock.dated), **_exact(d), **shared}
            for d, payload in pairs
        ]

    def _place(self, path: str) -> Row:
        site = os.path.basename(os.path.dirname(path)) if self._site is None else self._site
        return {"path": path_cell(path), "site": site.translate(STRAY_BYTES)}


def path_cell(path: str) -> str:
    r"""Return a path as it stands in a table: a byte that is not UTF-8 is `\xff`.

    No two paths are one: the backslashes of a name are doubled where it could be taken for that.
    """
    return MISTAKABLE.sub(r"\g<0>\g<0>", path).translate(STRAY_BYTES)


def _detection_cells(payload: Mapping[str, Any], *, dated: bool) -> Row:
    """Return the cells that are a detection's own, flat."""
    times = {name: _time(payload[name]) if dated else None for name in ("start_utc", "end_utc")}
    clock = {"clock_synced": payload["clock"]["synced"]}
    return {**payload, **payload["health"], **times, **clock}


def _exact(d: Detection) -> Row:
    """Return what messages round, so that nothing is rounded twice when it is exported."""
    top = [{"label": s.label, "score": s.score} for s in d.top]
    return {"score": d.score, "novelty": d.novelty, "animal": d.animal, "top": top}


def _time(text: str) -> datetime:
    # Python 3.10 knows no Z here; `strptime` takes twenty times as long.
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc)


def _month(clock: Clock) -> str | None:
    return f"{clock.start_utc:%Y-%m}" if clock.dated else None


def _clock_cells(clock: Clock) -> Row:
    return {
        "clock_source": clock.source,
        "clock_uncertainty_s": clock.uncertainty_s,
        "time_zone": None if clock.zone is None else str(clock.zone),
    }
