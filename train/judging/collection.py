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
from train.corpus.prepare import usable_recordings
from train.corpus.readers import read_listing
from train.corpus.species_match import Names
from train.judging.hearing import Question

__all__ = ["DATA", "Collection", "collect", "listed_species"]

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


def collect(
    bundle: Bundle, data: Path, species: str | None, *, hop_s: float, workers: int
) -> Collection:
    """Return the usable recordings that `data` lists, by the names of `bundle`.

    `species` is a YAML list of those that may be answered, or `DATA`; None: every label. Raises
    `UserError` for a list that cannot be, and where no recording is of a species on it.
    """
    listing = read_listing(data)
    usable, quarantine = usable_recordings(listing, workers=workers)
    names = Names(bundle.labels)
    positions = [names.position(r) if r.role in ("known", "unknown") else -1 for r in usable]
    listed = _listed(bundle, usable, positions, species)
    found = sorted({k for k in positions if k >= 0 and listed[k]})
    if not found:
        raise UserError(f"{data}: has no recording of a species that the bundle may answer")
    named = [_by(bundle, r, k, listed) for r, k in zip(usable, positions, strict=True)]
    missing = {
        r.common_name or r.label
        for r, k in zip(usable, positions, strict=True)
        if r.role == "known" and k < 0
    }
    return Collection(
        corpus=Corpus(root=listing.root, recordings=tuple(named)),
        labels=tuple(bundle.labels[k].label for k in found),
        question=Question(
            bundle=bundle.word,
            hop_s=hop_s,
            species=tuple(found),
            listed=tuple(map(bool, listed)),
            animals=tuple(label.kind == "animal" for label in bundle.labels),
        ),
        missing=tuple(sorted(missing)),
        left_out=tuple((q.recording.path.name, q.reason) for q in quarantine),
    )


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
