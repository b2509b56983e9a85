"""What a trunk says of a collection's windows, computed once and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.files import replacing
from train.corpus.corpus import Recording
from train.windows.listening import Listened, Listener, Watch, in_processes

__all__ = ["Answers", "answers_of_all"]

COLUMNS = ("start_s", "active", "embedding", "logits")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """W windows: position of their recording (W,), start in it in seconds (W,), whether something
    is heard in them (W,), and the trunk's embedding (W, D) and logits (W, N), the latter float16.
    """

    recording: NDArray[np.int64]
    start_s: NDArray[np.float64]
    active: NDArray[np.bool_]
    embedding: NDArray[np.float32]
    logits: NDArray[np.float16]

    def select(self, mask: NDArray[Any]) -> Answers:
        """Return the windows of a boolean mask (W,)."""
        values = {f.name: getattr(self, f.name)[mask] for f in dataclasses.fields(self)}
        return Answers(**values)


def answers_of_all(
    trunk: Bundle,
    recordings: Sequence[Recording],
    *,
    hop_s: float,
    workers: int,
    cache: Path,
    watch: Watch,
) -> tuple[Answers, list[tuple[str, str]]]:
    """Return the windows of all recordings, and the names of those that cannot be read, with why.

    Those of a recording are kept in `cache` by the digests of trunk and recording.
    """
    folder = cache / f"{trunk.trunk_digest[:16]}-{hop_s:g}"
    heard = in_processes(_Kept, (trunk.path, hop_s, folder), recordings, workers=workers)
    parts, faults = [], []
    for i, answer in enumerate(watch(heard, len(recordings))):
        if isinstance(answer, str):
            faults.append((recordings[i].path.name, answer))
            continue
        with np.load(answer) as arrays:
            columns = {name: arrays[name] for name in COLUMNS}
        parts.append({"recording": np.full(len(columns["start_s"]), i), **columns})
    joined = {
        name: np.concatenate([part[name] for part in parts]) for name in ("recording", *COLUMNS)
    }
    return Answers(**joined), faults


class _Kept:
    """One process's listener, which writes what it hears into files."""

    def __init__(self, trunk: Path, hop_s: float, folder: Path) -> None:
        self._folder = folder
        self._make = partial(Listener, trunk, hop_s)
        self._listener: Listener | None = None

    def __call__(self, recording: Recording) -> Path | str:
        """Return the file with the windows of a recording, or why it cannot be read."""
        file = self._folder / f"{recording.sha256}.npz"
        if file.exists():
            return file
        self._listener = self._listener or self._make()
        heard = self._listener.listen(recording.path)
        if isinstance(heard, str):
            return heard
        with replacing(file) as staged, staged.open("wb") as opened:
            np.savez(opened, **_columns(heard))  # type: ignore[arg-type]
        return file


def _columns(heard: Listened) -> dict[str, NDArray[Any]]:
    columns = {name: getattr(heard, name) for name in COLUMNS}
    return {**columns, "logits": heard.logits.astype(np.float16)}
