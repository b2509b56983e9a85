"""Further collections beside the first, whose split stays as it is.

Nobody and no unknown species that the first keeps for its test is heard in training: a further
recording of either is left out. Who is new goes to one of the folds, the same one in every order
of the recordings.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from train.corpus.corpus import Recording
from train.corpus.splits import group_of

__all__ = ["placed_beside"]


def placed_beside(
    first: Sequence[Recording], further: Iterable[Recording], *, folds: int
) -> tuple[Recording, ...]:
    """Return the `further` recordings with `split` and `fold` beside those of the `first`.

    A species that is known in the first is known in all, and one that is known in the others alone
    counts as unknown.
    """
    known = {r.label for r in first if r.role == "known"}
    taken: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for r in first:
        for name in _bound(r):
            taken[name].add((r.split, r.fold))
    placed = []
    for r in further:
        named = _as_first(r, known)
        split, fold = _place(named, taken, folds=folds)
        for name in _bound(named):
            taken[name].add((split, fold))
        placed.append(dataclasses.replace(named, split=split, fold=fold))
    return tuple(placed)


def _as_first(recording: Recording, known: set[str]) -> Recording:
    if recording.role not in ("known", "unknown"):
        return recording
    return dataclasses.replace(recording, role="known" if recording.label in known else "unknown")


def _bound(recording: Recording) -> list[str]:
    """Return the names of what is in one place only: who recorded it, and an unknown species."""
    names = [group_of(recording)]
    return [*names, f"unknown {recording.label}"] if recording.role == "unknown" else names


def _place(
    recording: Recording, taken: dict[str, set[tuple[str, int]]], *, folds: int
) -> tuple[str, int]:
    places = set().union(*(taken[name] for name in _bound(recording)))
    places.discard(("unused", -1))
    if not places:
        number = hashlib.sha256(_bound(recording)[-1].encode()).digest()[0]
        return "dev", number % folds
    return places.pop() if len(places) == 1 and ("test", -1) not in places else ("unused", -1)
