"""Recordings of a dataset as the results that a replay of them would give."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from edge.archive.manifest import chosen_bundle
from edge.archive.origin import origin_of
from edge.archive.parquet import Row
from edge.archive.part_files import say_what_is_not_read
from edge.archive.parts import Parts
from edge.clock import EPOCH, Clock, parse_zone
from edge.detect.unjudged import NOTHING
from edge.provenance import Provenance
from edge.replay.formats.base import RecordingEffort, ReplayResult, Unjudged
from edge.signal import SignalHealth
from edge.terminal import printable
from edge.types import Detection, Score

__all__ = ["StoredRecordings", "channel_in", "result_of"]

PARTS_AT_HAND = 16  # recordings are read in the order of their paths, which is about that of parts
NO_RATE_HZ = 1  # of a recording without detections, of whose samples nothing is told
HEALTH = tuple(field.name for field in fields(SignalHealth))
SYNCED = "option"
log = logging.getLogger(__name__)


class StoredRecordings:
    """What was heard in each recording of a dataset, in the order of their paths.

    `paths` are those of all recordings, also of such that could not be heard. Raises `ConfigError`
    where several bundles have heard it and none is chosen by `bundle`.
    """

    def __init__(self, folder: Path, made_by: Provenance, *, bundle: str | None = None) -> None:
        chosen = chosen_bundle(folder, bundle)
        self._made_by = made_by
        say_what_is_not_read(folder, ("files", "detections"))
        self._parts = Parts(folder)
        self._places = {
            row["path"]: (name, row["status"] == "heard")
            for name in self._parts.names()
            for row in self._parts.files(name, ["path", "status", "bundle"])
            if chosen is None or row["bundle"] == chosen
        }
        self.paths = sorted(self._places, key=lambda path: path.split(os.sep))
        self._part = lru_cache(maxsize=PARTS_AT_HAND)(self._read)

    def __iter__(self) -> Iterator[ReplayResult]:
        for path in self.paths:
            name, heard = self._places[path]
            if heard:
                files, detections = self._part(name)
                if path not in files:
                    continue  # it is being heard again
                file, own = files[path], detections.get(path, [])
                if len(own) == (file["detections"] or 0):
                    yield result_of(file, own, self._made_by)
                else:
                    said = "%s is left out: not all of its detections are there"
                    log.warning(said, printable(path))

    def _read(self, name: str) -> tuple[dict[str, Row], dict[str, list[Row]]]:
        """Return a part's rows of recordings, and of their detections, by path."""
        found: dict[str, list[Row]] = {}
        for row in self._parts.rows("detections", name):
            found.setdefault(row["path"], []).append(row)
        return {row["path"]: row for row in self._parts.files(name)}, found


def result_of(
    file: Row, detections: list[Row], made_by: Provenance, *, rate_hz: int | None = None
) -> ReplayResult:
    """Return a recording by its row of `files` and those of `detections`.

    `rate_hz` is that of samples; None: as the detections have it.
    """
    if rate_hz is None:
        rate_hz = detections[0]["sample_rate_hz"] if detections else NO_RATE_HZ
    latitude, longitude = file["latitude"], file["longitude"]
    return ReplayResult(
        file=file["path"],
        path=file["path"],
        identity=file["identity"] or "",
        duration_s=file["duration_s"],
        clock=_clock(file, rate_hz),
        detections=tuple(map(_detection, detections)),
        effort=_effort(file),
        channel=channel_in(file["channel"]),
        position=None if latitude is None else (latitude, longitude),
        provenance=origin_of(made_by, file),
    )


def _clock(file: Row, rate_hz: int) -> Clock:
    zone = file["time_zone"]
    return Clock(
        start_utc=file["clock_utc"] or file["start_utc"] or EPOCH,
        sample_rate_hz=rate_hz,
        source=file["clock_source"],
        synced=file["clock_source"] == SYNCED,
        uncertainty_s=file["clock_uncertainty_s"],
        zone=None if zone is None else parse_zone(zone),
    )


def _effort(file: Row) -> RecordingEffort:
    reasons: tuple[Unjudged, ...] = get_args(Unjudged)
    unjudged_s = {reason: file[f"unjudged_{reason}_s"] for reason in reasons}
    return RecordingEffort(
        audio_s=file["audio_s"],
        judged_s=file["judged_s"],
        unjudged_s={reason: s for reason, s in unjudged_s.items() if s},
        header_s=file["header_s"],
        missing_s=file["missing_s"],
        gap_s=file["gap_s"],
        below_precision=file["below_precision"],
    )


def channel_in(text: str | None) -> int | Literal["mix"]:
    """Return the channel that a cell of `files` says was heard."""
    return int(text) if text is not None and text.isdecimal() else "mix"


def _detection(row: Row) -> Detection:
    return Detection(
        id=row["id"],
        state="end",
        label=row["label"],
        nearest=row["nearest"],
        score=row["score"],
        novelty=row["novelty"],
        top=tuple(Score(**score) for score in row["top"]),
        start_sample=row["start_sample"],
        end_sample=row["end_sample"],
        peak_sample=row["peak_sample"],
        sample_rate_hz=row["sample_rate_hz"],
        windows=row["windows"],
        health=SignalHealth(**{name: row[name] for name in HEALTH}),
        embedding=NOTHING,
        start_uncertainty_s=row["start_uncertainty_s"],
        end_uncertainty_s=row["end_uncertainty_s"],
        animal=row["animal"],
    )
