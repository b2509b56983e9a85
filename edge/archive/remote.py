"""What runs on a worker of a cluster: recordings heard there by a model that it loads once.

The job, its bundles among it, is left with each worker when the client comes or the worker does. A
task names it by its digest. A worker that runs another version of this program refuses.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge.archive.hearing import Hearing, Work, hear
from edge.archive.keeping import Keeps
from edge.archive.memory import give_back
from edge.archive.stretches import HeardStretch, Stretch, hear_stretch, joined
from edge.bundle import Bundle
from edge.errors import AudioError, UserError
from edge.files import make_folder, write_whole
from edge.provenance import code_digest
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.scheduler import another_version

__all__ = [
    "JobKey",
    "RefusedError",
    "RemoteJob",
    "Tasks",
    "hear_there",
    "install",
    "join_there",
    "refusal",
    "stretch_there",
]

ARRIVES_S = 60.0  # within which a job is there after its first task


class RefusedError(UserError):
    """A worker runs another version of this program."""


@dataclass(frozen=True, kw_only=True)
class JobKey:
    """By what a task names its job, and the version of the program that has asked for it."""

    digest: str
    code: str


@dataclass(frozen=True, kw_only=True)
class RemoteJob:
    """All that a worker needs to hear: settings, and the files of the bundles by their digests.

    `words` are the digests of each bundle that judges, of a head with that of its trunk before it.
    """

    key: JobKey
    settings: ReplaySettings
    words: tuple[tuple[str, ...], ...]
    files: Mapping[str, Mapping[str, bytes]] = field(repr=False)

    @staticmethod
    def of(settings: ReplaySettings, bundles: Sequence[Bundle]) -> RemoteJob:
        """Return the job of these bundles, whose files are read now."""
        chains = [(b,) if b.trunk is None else (b.trunk, b) for b in bundles]
        every = {bundle.digest: bundle for chain in chains for bundle in chain}
        words = tuple(tuple(bundle.digest for bundle in chain) for chain in chains)
        named = hashlib.sha256(pickle.dumps((settings, words))).hexdigest()
        return RemoteJob(
            key=JobKey(digest=named, code=code_digest()),
            settings=settings,
            words=words,
            files={
                digest: {name: (bundle.path / name).read_bytes() for name in bundle.file_names}
                for digest, bundle in every.items()
            },
        )

    def unpacked(self, folder: Path) -> ReplaySettings:
        """Return settings whose bundles are below `folder`, where they are written if need be.

        Whoever loads a bundle checks every file of it.
        """
        for digest, files in self.files.items():
            make_folder(folder / digest)
            for name, content in files.items():
                if not (folder / digest / name).exists():
                    write_whole(folder / digest / name, content)
        words = [Path("+".join(str(folder / digest) for digest in word)) for word in self.words]
        return replace(self.settings, bundle=words[0], more_bundles=tuple(words[1:]))


# By the digest of each job: itself and where its bundles go, or its settings once they are there.
_jobs: dict[str, tuple[RemoteJob, Path] | ReplaySettings] = {}
_own = threading.local()  # a model is used by one thread


def install(job: RemoteJob, folder: Path) -> None:
    """Leave a job with this worker, which has `folder` for itself."""
    _jobs[job.key.digest] = (job, folder)


def refusal(code: str) -> str | None:
    """Return why this worker does not hear for a client of the version `code`."""
    return another_version(code_digest(), code)


def hear_there(
    key: JobKey, work: Work, recordings: Sequence[Recording], keeps: Keeps
) -> list[Hearing]:
    """Hear recordings on this worker, one after the other."""
    replayer = _replayer(key)
    return [work(replayer, recording, keeps) for recording in recordings]


def stretch_there(
    key: JobKey, recording: Recording, stretch: Stretch, keeps: Keeps
) -> HeardStretch | AudioError:
    """Hear a stretch on this worker."""
    return hear_stretch(_replayer(key), recording, stretch, keeps)


def join_there(
    key: JobKey,
    recording: Recording,
    stretches: Sequence[Stretch],
    keeps: Keeps,
    *heard: HeardStretch | AudioError,
) -> list[Hearing]:
    """Join what was heard of a recording on any workers."""
    return [joined(_replayer(key), recording, stretches, heard, keeps)]


def ready_there(key: JobKey) -> None:
    """Show that this worker can begin."""
    _replayer(key)


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """What a worker does with a recording, and what shows that it can begin."""

    work: Work = hear
    ready: Callable[[JobKey], None] = ready_there


def _replayer(key: JobKey) -> Replayer:
    reason = refusal(key.code)
    if reason is not None:
        raise RefusedError(reason)
    known: Any = getattr(_own, "replayer", None)
    if known is None or known[0] != key.digest:
        _own.replayer = known = (key.digest, Replayer(_settings(key.digest)))
        give_back()
    found: Replayer = known[1]
    return found


def _settings(digest: str) -> ReplaySettings:
    ends_s = time.monotonic() + ARRIVES_S
    while digest not in _jobs:
        if time.monotonic() > ends_s:
            raise UserError(f"the job {digest[:12]} has not come to this worker")
        time.sleep(0.05)
    known = _jobs[digest]
    if isinstance(known, ReplaySettings):
        return known
    job, folder = known
    settings = job.unpacked(folder)
    _jobs[digest] = settings  # the content of the bundles need not stay in memory
    return settings
