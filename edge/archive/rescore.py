"""Recordings judged again by another head, from what their network said when they were heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from edge.archive.again import EventsAgain, pieces
from edge.archive.ahead import ahead
from edge.archive.answers import AnswerBatch, PartAnswers
from edge.archive.dataset import Dataset, Known, dataset_at
from edge.archive.fingerprint import fingerprint_in
from edge.archive.hear import maker
from edge.archive.keeping import Keeps
from edge.archive.manifest import check_version, kept_in
from edge.archive.origin import read_origin, write_origin
from edge.archive.parquet import Row
from edge.archive.reading import column_files, read_columns, refuse_without_embeddings
from edge.archive.rows import Heard, RowMaker
from edge.archive.schema import arrow_schema
from edge.archive.stored import result_of
from edge.bundle import FP32
from edge.errors import ConfigError
from edge.replay.formats.base import ReplayResult
from edge.replay.given_settings import settings_of
from edge.replay.replayer import Replayer, event_order
from edge.replay.settings import ReplaySettings

__all__ = ["Rescored", "Rescoring", "settings_again"]

Report = Callable[[str], None]
LEAST_S = 2.0  # of work that a kill may cost: to judge is faster than to write
HEADS_VARIANT = "heads stand on fp32: hear it with --fp32"


@dataclass(kw_only=True)
class Rescored:
    """How many recordings and windows were judged again, and in how long."""

    recordings: int = 0
    there_already: int = 0
    damaged: int = 0
    windows: int = 0
    audio_s: float = 0.0
    took_s: float = 0.0

    def __str__(self) -> str:
        further = {"there already": self.there_already, "damaged": self.damaged}
        counts = "".join(f", {count} {what}" for what, count in further.items() if count)
        speed = self.audio_s / max(self.took_s, 1e-9)
        return (
            f"{self.recordings} recordings judged again{counts}: {self.windows} windows of "
            f"{self.audio_s / 3600:.2f} h in {self.took_s:.1f} s, {speed:.0f} times as fast as "
            "they lasted"
        )


def settings_again(source: Path, options: Mapping[str, Any]) -> ReplaySettings:
    """Return settings by the `options` of judging, and of hearing those that `source` was made by.

    Raises `ConfigError` naming the option, and for a dataset without embeddings.
    """
    made_by = check_version(source, key="DATASET")
    refuse_without_embeddings(source, kept_in(source).embeddings, key="DATASET")
    heard_by = {
        "hop_s": made_by["hop_s"],
        "zone": made_by["time_zone"],
        "channel": str(made_by.get("channel") or "mix"),
    }
    settings = settings_of({**options, **heard_by})
    return replace(settings, variant=FP32 if made_by["variant"] == FP32 else None)


class Rescoring:
    """Judges all that was heard into the dataset at `source` again, with `replayer`'s heads.

    Raises `ConfigError` for a dataset without embeddings, and for heads that do not stand on the
    network that made them.
    """

    def __init__(self, source: Path, replayer: Replayer) -> None:
        self._source = source
        self._replayer = replayer
        self._made_by = check_version(source, key="DATASET")
        keeps = kept_in(source)
        refuse_without_embeddings(source, keeps.embeddings, key="DATASET")
        _refuse_another_network(keeps, replayer, self._made_by)
        self._origin = read_origin(source, key="DATASET")
        self._makers = lru_cache(maxsize=1024)(self._maker_of)

    def notes(self) -> Iterator[str]:
        """Yield what a person should know of the choice."""
        if self._replayer.provenance.config != self._made_by["configuration"]:
            yield (
                "judged with other settings than it was heard with: --species, --lat, --offlist, "
                "--precision, --slide-s or --boost"
            )

    def run(self, out: Path, *, complain: Report = lambda line: None) -> Rescored:
        """Fill the dataset `out`, or go on with it; raises `ConfigError` where it cannot be."""
        if out.resolve() == self._source.resolve():
            raise ConfigError("is DATASET itself", key="--out", value=out)
        done, began_s = Rescored(), time.perf_counter()
        made_by = maker(self._replayer.provenance, self._replayer.settings)
        with dataset_at(out, made_by, Keeps(), least_s=LEAST_S) as dataset:
            write_origin(out, self._replayer.provenance)
            for heard in self._due(dataset, done, complain):
                dataset.add(heard)
        done.took_s = time.perf_counter() - began_s
        return done

    def _due(self, dataset: Dataset, done: Rescored, complain: Report) -> Iterator[Heard]:
        """Yield what is not in the new dataset as it is in the old one."""
        files = self._files()
        for path in [path for path, row in files.items() if _is_there(row, dataset.known)]:
            del files[path]
            done.there_already += 1
        yield from self._with_answers(files, done)
        for path, row in files.items():
            if row["status"] != "heard":
                yield self._makers(row["site"], row["backend"]).not_heard(
                    path, fingerprint_in(row), row["status"], row["reason"]
                )
            elif not row["embeddings"]:
                yield self._judged(row, self._begun(row), done)
            else:
                done.damaged += 1
                complain(f"{path}: not all that the network said of it is there; hear it again")

    def _with_answers(self, files: dict[str, Row], done: Rescored) -> Iterator[Heard]:
        """Yield the recordings among `files` that have all answers, and take them out of these."""
        counts = {path: row["embeddings"] for path, row in files.items()}
        going: EventsAgain | None = None
        for piece in pieces(ahead(self._answers(counts)), self._replayer.model):
            if piece.span.path not in files or counts[piece.span.path] != piece.span.count:
                continue  # also what is there a second time
            if piece.begins or going is None:
                going = self._begun(files[piece.span.path])
            going.follow(piece)
            if piece.ends:
                done.windows += piece.span.count
                yield self._judged(files.pop(piece.span.path), going, done)

    def _answers(self, counts: Mapping[str, int | None]) -> Iterator[AnswerBatch]:
        """Yield the answers in parts that have all of some recording with so many windows."""
        for file in column_files(self._source, "embeddings"):
            part = PartAnswers(file, *self._replayer.bundle.trunk_size)
            if any(counts.get(span.path) == span.count for span in part.spans):
                yield from part.batches()

    def _files(self) -> dict[str, Row]:
        files = read_columns(self._source, "files", arrow_schema("files").names)
        return {row["path"]: row for row in files.to_pylist()}

    def _judged(self, file: Row, again: EventsAgain, done: Rescored) -> Heard:
        done.recordings += 1
        done.audio_s += file["audio_s"] or 0.0
        result = self._result(file, again)
        heard = self._makers(file["site"], file["backend"]).heard(result, fingerprint_in(file))
        return replace(heard, file={**heard.file, "heard_utc": file["heard_utc"]})

    def _begun(self, file: Row) -> EventsAgain:
        """Return what a recording begins with."""
        replayer, left_out = self._replayer, list[str]()
        rate_hz = replayer.bundle.frontend.sample_rate_hz
        before = result_of(file, [], self._origin, rate_hz=rate_hz)
        stages = replayer.stages(before.identity, before.clock, leave_out=left_out.append)
        return EventsAgain(before=before, stages=stages, left_out=left_out)

    def _result(self, file: Row, again: EventsAgain) -> ReplayResult:
        """Return what hearing the recording would give."""
        found = sorted(again.finished(), key=event_order)
        return replace(
            again.before,
            detections=tuple(found),
            effort=replace(again.before.effort, below_precision=len(again.left_out)),
            position=self._replayer.settings.position,
            notes=() if file["reason"] is None else (file["reason"],),
            provenance=None,
        )

    def _maker_of(self, site: str, backend: str) -> RowMaker:
        """Return what makes the rows of a site whose network ran on a backend."""
        return RowMaker(replace(self._replayer.provenance, backend=backend), site=site)


def _is_there(row: Row, known: Mapping[str, Known]) -> bool:
    there = known.get(row["path"])
    return (
        there is not None
        and there.is_whole
        and there.status == row["status"]
        and there.fingerprint == fingerprint_in(row)
    )


def _refuse_another_network(
    keeps: Keeps, replayer: Replayer, made_by: Mapping[str, object]
) -> None:
    if replayer.networks != {keeps.network}:
        found = ", ".join(sorted(network[:12] for network in replayer.networks))
        needed = str(keeps.network)[:12]
        raise ConfigError(
            f"does not stand on the network of the dataset ({found}, not {needed})",
            key="--bundle",
            value=replayer.settings.bundle,
            suggestion="give a head on that network, or hear the recordings with this bundle",
        )
    made, now = made_by.get("variant"), replayer.provenance.variant
    if made != now:
        raise ConfigError(
            f"was heard with the variant {made} of the network, and is to be judged for {now}",
            key="DATASET",
            suggestion=HEADS_VARIANT,
        )
