"""Detections of a dataset in the forms that a replay has, all of them or some."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TextIO

from edge.archive.manifest import chosen_bundle
from edge.archive.origin import read_origin
from edge.archive.stored import StoredRecordings
from edge.bundle.precision import LeastScores
from edge.detect.species_names import resolve_labels
from edge.errors import ConfigError
from edge.provenance import Provenance
from edge.replay.formats import TOP_FORMATS, Format, open_format
from edge.replay.formats.base import ReplayResult
from edge.replay.output import refuse_to_overwrite, text_output
from edge.replay.owners import is_remote, local_path
from edge.replay.per_file import Places, check_places
from edge.sources.metadata import parse_timestamp
from edge.types import Detection

__all__ = ["Export", "ExportChoice", "Wanted", "chosen_labels", "parse_since"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which detections are wanted: those of `labels`, None: of all; from the time `since` on.

    Named ones from `min_score` on or, where a precision is wanted, from `least` of their label on;
    an unknown sound has no name that a score could speak for.
    """

    labels: frozenset[str] | None = None
    since: datetime | None = None
    min_score: float = 0.0
    least: LeastScores | None = None

    def of(self, result: ReplayResult) -> ReplayResult | None:
        """Return a result with what is wanted of it; None of a recording before that time.

        One without a date is never known to be late enough.
        """
        clock = result.clock
        if self.since is not None:
            end = clock.utc(0) + timedelta(seconds=result.duration_s)
            if not clock.dated or end < self.since:
                return None
        kept = tuple(d for d in result.detections if self._keeps(d, result))
        return replace(result, detections=kept)

    def _keeps(self, d: Detection, result: ReplayResult) -> bool:
        if self.labels is not None and d.label not in self.labels:
            return False
        if self.since is not None and result.clock.utc(d.start_sample) < self.since:
            return False
        if d.label is None:
            return True
        least: float | None = self.min_score
        if self.least is not None:
            least = self.least.least(d.label)
        return least is not None and d.score >= least


@dataclass(frozen=True, kw_only=True)
class ExportChoice:
    """What a person wants of a dataset, as options of the command have it."""

    form: Format
    out: str | None = None
    per_file: bool = False
    overwrite: bool = False
    resume: bool = False
    bundle: str | None = None
    top: int | None = None
    species: tuple[str, ...] = ()
    since: datetime | None = None
    min_score: float = 0.0
    precision: float | None = None

    def __post_init__(self) -> None:
        if self.top is not None and self.form not in TOP_FORMATS:
            raise ConfigError(f"is only for --format {' and '.join(TOP_FORMATS)}", key="--top")
        if self.precision is not None and self.min_score:
            raise ConfigError("does not go with --min-score", key="--precision")
        if self.overwrite and not self.per_file:
            raise ConfigError("is only for --per-file; --out replaces a file", key="--overwrite")
        if self.resume and (self.overwrite or not self.per_file):
            raise ConfigError("is only for --per-file without --overwrite", key="--resume")


def parse_since(text: str) -> datetime:
    """Return a day, or a time as in RFC 3339, in UTC; raises `ConfigError` of `--since`."""
    found = parse_timestamp(f"{text}T00:00:00Z") or parse_timestamp(text)
    if found is None:
        reason = "is not a day such as 2024-05-01, nor a time such as 2024-05-01T05:30:00Z"
        raise ConfigError(reason, key="--since", value=text)
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


class Export:
    """Writes what is wanted of the dataset at `folder`.

    Raises `ConfigError` for what its bundle does not know.
    """

    def __init__(self, folder: Path, choice: ExportChoice) -> None:
        self._choice = choice
        bundle = chosen_bundle(folder, choice.bundle)
        self._made_by = read_origin(folder, key="DATASET", bundle=bundle)
        self._wanted = _wanted(choice, self._made_by)
        self._stored = StoredRecordings(folder, self._made_by, bundle=bundle)

    def write(self) -> None:
        """Write it: into one output, or one for each recording."""
        results = (wanted for one in self._stored if (wanted := self._wanted.of(one)) is not None)
        if self._choice.per_file:
            self._write_each(results)
            return
        refuse_to_overwrite([self._choice.out], self._stored.paths)
        with text_output(self._choice.out) as stream:
            self._write_into(stream, results, several=len(self._stored.paths) > 1)

    def _write_each(self, results: Iterable[ReplayResult]) -> None:
        choice, paths = self._choice, self._stored.paths
        for path in paths:
            _refuse_a_strange_place(path, beside=choice.out is None)
        folders = [os.path.dirname(os.path.abspath(local_path(path))) for path in paths]
        above = os.path.commonpath(folders) if folders else os.curdir
        places = Places(paths, given=[above], form=choice.form, folder=choice.out)
        due = places.missing() if choice.resume else places.of
        check_places(due, overwrite=choice.overwrite)
        refuse_to_overwrite(list(due.values()), paths)
        for result in results:
            place = due.get(result.file)
            if place is None:
                continue
            places.note(result.file)
            os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
            with text_output(place) as stream:
                self._write_into(stream, [result], several=False)

    def _write_into(
        self, stream: TextIO, results: Iterable[ReplayResult], *, several: bool
    ) -> None:
        top = self._choice.top or 0
        writer = open_format(self._choice.form, stream, self._made_by, several=several, top=top)
        for result in results:
            writer.write(result)
        writer.close()


def _refuse_a_strange_place(path: str, *, beside: bool) -> None:
    """Raise `ConfigError` for a recording that no output can be written for, or none `beside` it:
    a dataset may be a stranger's.
    """
    if "\0" in path:
        raise ConfigError("is no path of a recording", key="--per-file", value=path)
    if beside and is_remote(path):
        raise ConfigError(f"is needed for --per-file: {path} is in an object store", key="--out")
    if beside and os.pardir in path.split(os.sep):
        raise ConfigError(f"is needed for --per-file: {path} leads to another folder", key="--out")


def chosen_labels(species: Collection[str], made_by: Provenance) -> frozenset[str] | None:
    """Return the labels of the species that were named, None: of all; raises `ConfigError`."""
    if not species:
        return None
    return frozenset(resolve_labels(species, made_by.labels.values(), key="--species"))


def _wanted(choice: ExportChoice, made_by: Provenance) -> Wanted:
    return Wanted(
        labels=chosen_labels(choice.species, made_by),
        since=choice.since,
        min_score=choice.min_score,
        least=None if choice.precision is None else _least(choice.precision, made_by),
    )


def _least(precision: float, made_by: Provenance) -> LeastScores:
    known = {} if made_by.calibration is None else made_by.calibration.precisions
    found = known.get(f"{precision:g}")
    if found is None:
        others = f", only for {', '.join(sorted(known))}" if known else ""
        reason = f"the bundle of the dataset has no least scores for this precision{others}"
        raise ConfigError(reason, key="--precision", value=f"{precision:g}")
    return found
