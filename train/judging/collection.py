"""Recordings of other people's under the names of a bundle.

A species counts as known where the list of those that may be answered has it, whatever the
collection calls it: what is unknown follows from the list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import UserError
from edge.strictyaml import read_any
from train.corpus.corpus import Corpus, Recording
from train.corpus.prepare import Rejected, usable_recordings
from train.corpus.readers import read_listing
from train.corpus.species_match import Names
from train.judging.hearing import Heard, Question, hear_all
from train.windows.listening import Watch

__all__ = [
    "DATA",
    "Collection",
    "Usable",
    "collect",
    "hear_collection",
    "listed_species",
    "usable",
]

DATA = "data"  # as a list: the known species of the recordings
LISTED = "must be a list of species, or species with their months"
SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Recordings by the names of a bundle, and what is asked of it.

    `labels` (K,) are those of the recordings that may be answered. `missing` are the names of known
    species that the bundle lacks, `left_out` names of files that cannot be used, with the reason.
    """

    corpus: Corpus
    labels: tuple[str, ...]
    question: Question
    missing: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Usable:
    """The recordings that `data` lists and that can be used.

    Each has the position of its label in `bundle`, -1 for what is not a label of it.
    """

    bundle: Bundle
    data: Path
    root: Path
    recordings: tuple[Recording, ...]
    positions: tuple[int, ...]
    quarantine: tuple[Rejected, ...]

    def collection(self, species: str | None, *, hop_s: float) -> Collection:
        """Return them by the names of the bundle, and what is asked of it; see `collect`."""
        listed = _listed(self.bundle, self.recordings, self.positions, species)
        found = sorted({k for k in self.positions if k >= 0 and listed[k]})
        if not found:
            raise UserError(
                f"{self.data}: has no recording of a species that the bundle may answer"
            )
        pairs = list(zip(self.recordings, self.positions, strict=True))
        named = tuple(_by(self.bundle, recording, k, listed) for recording, k in pairs)
        missing = {r.common_name or r.label for r, k in pairs if r.role == "known" and k < 0}
        return Collection(
            corpus=Corpus(root=self.root, recordings=named),
            labels=tuple(self.bundle.labels[k].label for k in found),
            question=Question(
                bundle=self.bundle.word,
                hop_s=hop_s,
                species=tuple(found),
                listed=tuple(map(bool, listed)),
                animals=tuple(label.kind == "animal" for label in self.bundle.labels),
            ),
            missing=tuple(sorted(missing)),
            left_out=tuple((q.name, q.reason) for q in self.quarantine),
        )


def usable(bundle: Bundle, data: Path, *, workers: int) -> Usable:
    """Read every file that `data` lists; return those that can be used."""
    listing = read_listing(data)
    recordings, quarantine = usable_recordings(listing, workers=workers)
    names = Names(bundle.labels)
    return Usable(
        bundle=bundle,
        data=data,
        root=listing.root,
        recordings=tuple(recordings),
        positions=tuple(
            names.position(r) if r.role in ("known", "unknown") else -1 for r in recordings
        ),
        quarantine=quarantine,
    )


def collect(
    bundle: Bundle, data: Path, species: str | None, *, hop_s: float, workers: int
) -> Collection:
    """Return the usable recordings that `data` lists, by the names of `bundle`.

    `species` is a YAML list of those that may be answered, or `DATA`; None: every label. Raises
    `UserError` for a list that cannot be, and where no recording is of a species on it.
    """
    return usable(bundle, data, workers=workers).collection(species, hop_s=hop_s)


def hear_collection(
    collection: Collection, *, workers: int, watch: Watch
) -> tuple[dict[int, Heard], list[tuple[str, str]]]:
    """Return what was heard of each recording, by its position, and what could not be, and why.

    `watch` sees the recordings pass, of which there are so many.
    """
    recordings = collection.corpus.recordings
    answers = hear_all(collection.question, [r.path for r in recordings], workers=workers)
    heard: dict[int, Heard] = {}
    left_out = list(collection.left_out)
    for i, answer in enumerate(watch(answers, len(recordings))):
        if isinstance(answer, str):
            left_out.append((recordings[i].path.name, answer))
        else:
            heard[i] = answer
    return heard, left_out


def _listed(
    bundle: Bundle,
    recordings: Sequence[Recording],
    positions: Sequence[int],
    species: str | None,
) -> NDArray[np.bool_]:
    """Return which labels (N,) may be answered."""
    if species is None:
        return np.ones(len(bundle.labels), bool)
    if species != DATA:
        return listed_species(bundle, Path(species))
    listed = np.zeros(len(bundle.labels), bool)
    pairs = zip(recordings, positions, strict=True)
    listed[[k for r, k in pairs if r.role == "known" and k >= 0]] = True
    return listed


def listed_species(bundle: Bundle, file: Path | None) -> NDArray[np.bool_]:
    """Return which labels (N,) a YAML list of species names, all where there is none.

    Raises `UserError` for what is no list, and for a species that the bundle lacks.
    """
    listed = np.full(len(bundle.labels), file is None)
    if file is not None:
        listed[Names(bundle.labels).listed(_read_list(file), where=str(file))] = True
    return listed


def _read_list(file: Path) -> list[str]:
    try:
        content = read_any(file)
    except ValueError as exc:
        raise UserError(f"{file} {exc}") from exc
    names = list(content) if isinstance(content, list | dict) else []
    if not (names and all(isinstance(name, str) for name in names)):
        raise UserError(f"{file}: {LISTED}")
    return names


def _by(bundle: Bundle, recording: Recording, k: int, listed: NDArray[np.bool_]) -> Recording:
    """Return a recording under the bundle's name for it: known where it may be answered."""
    if k < 0:
        return dataclasses.replace(recording, split=SPLIT)
    label = bundle.labels[k]
    return dataclasses.replace(
        recording,
        split=SPLIT,
        role="known" if listed[k] else "unknown",
        label=label.label,
        common_name=label.common_name,
        scientific_name=label.scientific_name,
    )
