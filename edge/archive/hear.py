"""The job: hears what a dataset lacks, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from edge.archive.cluster import Cluster, cluster_at, local_cluster
from edge.archive.dataset import Dataset, Known, dataset_at
from edge.archive.fingerprint import Fingerprint, fingerprint_of
from edge.archive.hearing import Hearing
from edge.archive.keeping import Keeps
from edge.archive.names import Names, spelled
from edge.archive.origin import write_origin
from edge.archive.progress import archive_progress
from edge.archive.remote import RemoteJob, Tasks
from edge.archive.rows import Heard, RowMaker, path_cell
from edge.archive.stretches import Stretch, stretches_of
from edge.archive.workers import Asked, Died, Workers
from edge.errors import AudioError, ConfigError
from edge.provenance import Provenance
from edge.replay.progress import Report
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings

__all__ = ["TASK_S", "ArchiveJob", "Summary", "maker"]

QUARANTINED = "it has killed the process that heard it, and the next one that heard nothing else"
KEPT = "what was heard of it stays"
TASK_S = 3600.0
LEAST_BYTES_PER_S = 2_000  # of anything that can be cut, and so of a recording worth a look
Fate = Literal["heard", "failed", "quarantined", "there already", "given twice", "incomplete"]


@dataclass(kw_only=True)
class Summary:
    """How many recordings had which fate, and how many seconds of audio were read."""

    fates: Counter[Fate] = field(default_factory=Counter)
    audio_s: float = 0.0

    @property
    def done(self) -> int:
        """How many recordings have had their turn."""
        return self.fates.total() - self.fates["incomplete"]

    @property
    def whole(self) -> bool:
        """Whether everything of all recordings was heard."""
        return not any(self.fates[fate] for fate in ("failed", "quarantined", "incomplete"))

    def __str__(self) -> str:
        counts = [f"{count} {fate}" for fate, count in self.fates.items() if count]
        return ", ".join([*(counts or ["nothing to hear"]), f"{self.audio_s / 3600:.2f} h heard"])


class ArchiveJob:
    """Fills the dataset `out` with what `replayer` finds in recordings.

    `site` is that of all recordings, None for the names of their folders. With `again`, what was
    quarantined is tried again. `remote` are the fingerprints of recordings in object stores. The
    dataset `keeps` further tables. Recordings are cut into tasks of about `task_s`. `tasks` are
    what workers do.
    """

    def __init__(
        self,
        replayer: Replayer,
        out: Path,
        *,
        site: str | None = None,
        again: bool = False,
        remote: Mapping[str, Fingerprint] | None = None,
        keeps: Keeps | None = None,
        task_s: float = TASK_S,
        tasks: Tasks | None = None,
    ) -> None:
        self._replayer = replayer
        self._made_by = maker(replayer.provenance, replayer.settings)
        self._rows = RowMaker(replayer.provenance, site=site)
        self._out = out
        self._again = again
        self._remote = remote or {}
        self._keeps = _with_network(keeps or Keeps(), replayer)
        self._task_s = task_s
        self._tasks = tasks or Tasks()
        self._summary = Summary()

    def run(
        self,
        recordings: Sequence[Recording | AudioError],
        *,
        workers: int = 1,
        scheduler: str | None = None,
        mix: bool = False,
    ) -> Summary:
        """Hear what is not in the dataset, has changed, or failed; a failure ends nothing else.

        It is heard by so many `workers` of this machine, or by those of a `scheduler` elsewhere.
        With `mix`, the dataset may be one that other bundles have heard: their rows stay.
        Raises `ConfigError` for a dataset that cannot take it, `BackendError` when no process can
        begin, `UserError` when the scheduler goes away, OSError when the dataset cannot be written.
        """
        job = RemoteJob.of(self._replayer.settings, self._replayer.bundles)
        with (
            # Before the dataset: on a signal, what was heard is written first.
            self._cluster(job, workers, scheduler) as cluster,
            dataset_at(self._out, self._made_by, self._keeps, mix=mix) as dataset,
            archive_progress(len(recordings), self._summary) as report,
        ):
            write_origin(self._out, self._replayer.provenance)
            pool = Workers(cluster, self._keeps, self._tasks, report.warn)
            for asked, hearing in pool.answers(self._due(recordings, dataset, report)):
                if not dataset.add(self._told(asked, hearing, report)):
                    report.complain(f"{asked.recording.name}: {KEPT}")
                report.advance(self._summary.done)
        return self._summary

    def _cluster(
        self, job: RemoteJob, workers: int, scheduler: str | None
    ) -> AbstractContextManager[Cluster]:
        if scheduler is None:
            return local_cluster(job, workers=workers)
        return cluster_at(scheduler, job)

    def _due(
        self, recordings: Sequence[Recording | AudioError], dataset: Dataset, report: Report
    ) -> Iterator[Asked]:
        """Yield what is to be heard, each when its turn comes."""
        names = Names(dataset.known)
        for found in recordings:
            if isinstance(found, AudioError):
                report.complain(str(found))
                self._summary.fates["failed"] += 1
                continue
            remote = self._remote.get(found.file)
            path = spelled(found.file) if remote is None else found.file
            if remote is None and not names.is_new(path):
                self._summary.fates["given twice"] += 1
                continue
            fingerprint = remote or fingerprint_of(path)
            path = names.settled(path, fingerprint)
            if self._is_there(path, fingerprint, dataset.known.get(path_cell(path)), report):
                continue
            yield Asked(
                recording=Recording(file=path, name=path),
                fingerprint=fingerprint,
                stretches=self._stretches(path, fingerprint),
            )

    def _stretches(self, path: str, fingerprint: Fingerprint | None) -> tuple[Stretch, ...]:
        """Return what a recording is cut into, of which only a large file is looked at."""
        if (
            fingerprint is None
            or path in self._remote
            or fingerprint.size_bytes < LEAST_BYTES_PER_S * self._task_s
        ):
            return ()
        replayer = self._replayer
        return stretches_of(
            path,
            replayer.bundle.frontend,
            hop_s=replayer.settings.hop_s,
            task_s=self._task_s,
            labels=len(replayer.model.decision.labels),
        )

    def _is_there(
        self, path: str, fingerprint: Fingerprint | None, known: Known | None, report: Report
    ) -> bool:
        if known is None or known.status == "failed":
            return False
        if fingerprint is None and known.status == "heard":
            report.complain(f"{path}: cannot be read now; {KEPT}")
            self._summary.fates["failed"] += 1
            return True
        if known.fingerprint != fingerprint or (known.status == "heard" and not known.is_whole):
            return False
        if known.status == "quarantined":
            if self._again:
                return False
            report.complain(f"{path}: is in quarantine: {QUARANTINED} (--again tries it again)")
            self._summary.fates["quarantined"] += 1
            return True
        self._summary.fates["there already"] += 1
        return True

    def _told(self, asked: Asked, hearing: Hearing | Died, report: Report) -> Heard:
        """Return the rows of an outcome, having said and counted what became of the recording."""
        path, fates = asked.recording.name, self._summary.fates
        if isinstance(hearing, Died):
            fates["quarantined"] += 1
            report.complain(f"{path}: {QUARANTINED}")
            return self._rows.not_heard(path, asked.fingerprint, "quarantined", QUARANTINED)
        outcome = hearing.outcome
        if isinstance(outcome, AudioError):
            fates["failed"] += 1
            report.complain(str(outcome))
            return self._rows.not_heard(path, asked.fingerprint, "failed", str(outcome))
        fates["heard"] += 1
        fates["incomplete"] += outcome.effort.missing_s > 0
        self._summary.audio_s += outcome.effort.audio_s
        for note in outcome.notes:
            report.warn(f"{path}: {note}")
        return self._rows.heard(outcome, asked.fingerprint, hearing.tables)


def _with_network(keeps: Keeps, replayer: Replayer) -> Keeps:
    """Return `keeps` with the network whose answers are kept, where any are."""
    if keeps.embeddings is None:
        return keeps
    if len(replayer.networks) > 1:
        raise ConfigError(
            "several networks judge here, and a head stands on one",
            key="--embeddings",
            suggestion="name one bundle, or heads on one trunk",
        )
    return replace(keeps, network=min(replayer.networks))


def maker(provenance: Provenance, settings: ReplaySettings) -> dict[str, object]:
    """Return what must be the same for all rows of a dataset: all that decides them but the code,
    which every row names.
    """
    return {
        "bundle": provenance.bundle,
        "variant": provenance.variant,
        "hop_s": settings.hop_s,
        "configuration": provenance.config,
        "channel": settings.channel,
        "time_zone": None if settings.zone is None else str(settings.zone),
        "language": settings.language,
    }
