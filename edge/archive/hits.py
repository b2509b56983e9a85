"""Windows that were found, with what is known of their recordings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.archive.embeddings import sample_rate_of
from edge.archive.fingerprint import Fingerprint, fingerprint_in
from edge.archive.nearest import Match
from edge.archive.origin import read_origin
from edge.archive.parquet import Row
from edge.archive.reading import read_columns
from edge.archive.stored import result_of
from edge.clock import rfc3339
from edge.replay.formats.base import ReplayResult

__all__ = ["Hit", "apart", "hits_of"]

log = logging.getLogger(__name__)
FURTHER = ("path", "label", "start_sample", "end_sample", "score")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A window that was found, the `rank`th best. `recording` is that of it, without detections.

    `label` is what was detected in it, "" for nothing and for the unknown. `heard` is by what the
    recording is known again.
    """

    rank: int
    similarity: float
    start_s: float
    end_s: float
    recording: ReplayResult
    label: str
    heard: Fingerprint | None = None

    @property
    def utc(self) -> str:
        """When it begins, "" where the recording has no date."""
        clock = self.recording.clock
        return rfc3339(clock.utc(self._sample)) if clock.dated else ""

    @property
    def local(self) -> str:
        """When it begins by the clocks of the place, "" where these are not known."""
        local = self.recording.clock.local(self._sample)
        return "" if local is None else local.isoformat(timespec="seconds")

    @property
    def _sample(self) -> int:
        return round(self.start_s * self.recording.clock.sample_rate_hz)


def hits_of(folder: Path, matches: Sequence[Match]) -> list[Hit]:
    """Return what is known of `matches` in the dataset at `folder`, in their order."""
    from edge.archive.schema import arrow_schema

    rate_hz, made_by = sample_rate_of(folder) or 1, read_origin(folder, key="DATASET")
    paths = {match.path for match in matches}
    names = arrow_schema("files").names
    files = {row["path"]: row for row in _of(folder, "files", names, paths)}
    detected: dict[str, list[Row]] = {}
    for row in _of(folder, "detections", FURTHER, paths):
        detected.setdefault(row["path"], []).append(row)
    hits = []
    known = [match for match in matches if match.path in files]
    if len(known) < len(matches):
        left_out = len(matches) - len(known)
        log.warning("%s: %d hits left out, with damaged rows of files", folder, left_out)
    for rank, match in enumerate(known, 1):
        recording = result_of(files[match.path], [], made_by, rate_hz=rate_hz)
        hits.append(
            Hit(
                rank=rank,
                similarity=match.similarity,
                start_s=match.start_sample / rate_hz,
                end_s=match.end_sample / rate_hz,
                recording=recording,
                label=_label(match, detected.get(match.path, ())),
                heard=fingerprint_in(files[match.path]),
            )
        )
    return hits


def apart(hits: Iterable[Hit], most: int) -> list[Hit]:
    """Return the best `most` hits of which none shares sound with a better one."""
    kept: list[Hit] = []
    for hit in hits:
        if len(kept) == most:
            break
        if not any(_overlap(hit, other) for other in kept):
            kept.append(hit)
    return kept


def _overlap(one: Hit, other: Hit) -> bool:
    return (
        one.recording.path == other.recording.path
        and one.start_s < other.end_s
        and other.start_s < one.end_s
    )


def _of(folder: Path, table: str, columns: Sequence[str], paths: set[str]) -> list[Row]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = read_columns(folder, table, columns)
    wanted = pa.array(sorted(paths), pa.string())
    return found.filter(pc.field("path").isin(wanted)).to_pylist()


def _label(match: Match, detections: Iterable[Row]) -> str:
    """Return the label of the best detection that shares sound with a window."""
    within = [
        row
        for row in detections
        if row["label"] is not None
        and row["start_sample"] < match.end_sample
        and match.start_sample < row["end_sample"]
    ]
    best = max(within, key=lambda row: float(row["score"]), default=None)
    return "" if best is None else str(best["label"])
