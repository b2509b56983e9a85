"""When a recording has its label: stretches that somebody marked, which beat a weak label."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.files import write_whole
from train.corpus.corpus import Corpus, Recording
from train.corpus.tables import read_table

__all__ = ["DENIED", "Key", "Marks", "Stretches", "denied", "key_of"]

Key = tuple[str, str, str]  # sha256, role and label of a recording
Stretches = tuple[tuple[float, float], ...]  # starts and ends in seconds
COLUMNS = ("sha256", "role", "label", "start_s", "end_s")
# Before the label that somebody says is not there; no label has a blank.
DENIED = "not "
OF_WINDOW, OF_STRETCH = 0.5, 0.8  # what of either must be in the other


def key_of(recording: Recording) -> Key:
    """Return by what a recording's stretches are found: a file may have several labels."""
    return recording.sha256, recording.role, recording.label


def denied(recording: Recording) -> str:
    """Return the label that is said not to be in a recording, "" for none."""
    return recording.label.removeprefix(DENIED) if recording.label.startswith(DENIED) else ""


@dataclass(frozen=True)
class Marks:
    """The stretches of recordings by `key_of`; one without any is labelled as a whole."""

    stretches: Mapping[Key, Stretches] = field(default_factory=dict)

    def joined(self, other: Marks) -> Marks:
        """Return both; what is marked in either is marked."""
        merged = dict(self.stretches)
        for key, stretches in other.stretches.items():
            merged[key] = tuple(sorted({*merged.get(key, ()), *stretches}))
        return Marks(merged)

    def as_known(self, label: str) -> Marks:
        """Return the same, but that stretches of an unknown species are of a known one."""
        unknown = {key: own for key, own in self.stretches.items() if key[1:] == ("unknown", label)}
        others = {key: own for key, own in self.stretches.items() if key not in unknown}
        known = {(sha256, "known", label): own for (sha256, *_), own in unknown.items()}
        return Marks(others).joined(Marks(known))

    def exact(self, recordings: Iterable[Recording]) -> NDArray[np.bool_]:
        """Return which recordings (R,) have stretches."""
        return np.array([key_of(r) in self.stretches for r in recordings], bool)

    def inside(
        self,
        corpus: Corpus,
        recording: NDArray[np.int64],
        start_s: NDArray[np.float64],
        window_s: float,
    ) -> NDArray[np.bool_]:
        """Return which windows (W,) are of a stretch of their recording.

        A window is if half of it lies in a stretch, or most of the stretch in it.
        """
        found = np.zeros(len(recording), bool)
        for i, r in enumerate(corpus.recordings):
            stretches = self.stretches.get(key_of(r), ())
            if not stretches:
                continue
            own = np.flatnonzero(recording == i)
            found[own] = _within(start_s[own], window_s, stretches)
        return found

    def elsewhere(
        self,
        corpus: Corpus,
        recording: NDArray[np.int64],
        start_s: NDArray[np.float64],
        window_s: float,
    ) -> NDArray[np.bool_]:
        """Return which windows (W,) are of a stretch that their file has under another label."""
        by_file: dict[str, list[tuple[Key, Stretches]]] = {}
        for key, stretches in self.stretches.items():
            by_file.setdefault(key[0], []).append((key, stretches))
        found = np.zeros(len(recording), bool)
        for i, r in enumerate(corpus.recordings):
            for key, stretches in by_file.get(r.sha256, ()):
                if key != key_of(r):
                    own = np.flatnonzero(recording == i)
                    found[own] |= _within(start_s[own], window_s, stretches)
        return found

    def write(self, path: Path) -> None:
        """Write the table that `read` reads."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        for key, stretches in sorted(self.stretches.items()):
            writer.writerows([*key, f"{begin:.6f}", f"{end:.6f}"] for begin, end in stretches)
        write_whole(path, table.getvalue())

    @staticmethod
    def read(path: Path) -> Marks:
        """Return what `write` wrote; raises `UserError`."""
        found: dict[Key, list[tuple[float, float]]] = {}
        for row in read_table(path, COLUMNS):
            sha256, role, label, *times = (row.cells[name] for name in COLUMNS)
            try:
                begin, end = map(float, times)
            except ValueError as exc:
                raise UserError(f"{path}, line {row.line}: {exc}") from exc
            found.setdefault((sha256, role, label), []).append((begin, end))
        return Marks({key: tuple(stretches) for key, stretches in found.items()})


def _within(
    start_s: NDArray[np.float64], window_s: float, stretches: Stretches
) -> NDArray[np.bool_]:
    found = np.zeros(len(start_s), bool)
    for begin, end in stretches:
        common = np.minimum(start_s + window_s, end) - np.maximum(start_s, begin)
        found |= common >= min(OF_WINDOW * window_s, OF_STRETCH * (end - begin))
    return found
