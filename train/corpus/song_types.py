"""Types of song: of a species with several, one is kept for the test, unheard in training.

Thakur et al. 2019, Figure 8, shows where an embedding puts songs of a species of which it has
learnt other songs.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from train.corpus.corpus import Recording
from train.corpus.splits import Unit, group_of

__all__ = ["keep_unseen", "unseen_types"]


def unseen_types(recordings: Iterable[Recording]) -> dict[str, str]:
    """Return the type that is kept for the test of each known species that has two or more.

    It is the rarest, so that training loses least; of equally rare ones the last by name.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for r in recordings:
        if r.role == "known" and r.song_type:
            counts[r.label][r.song_type] += 1
    return {
        label: max(types, key=lambda name: (-types[name], name))
        for label, types in counts.items()
        if len(types) > 1
    }


def keep_unseen(recordings: Sequence[Recording], *, by: Unit) -> tuple[Recording, ...]:
    """Return split recordings, in the same order, with those of unseen types in the test.

    One whose recordist is heard in training is left out (split "unused"), unless the split is `by`
    recording.
    """
    kept = unseen_types(recordings)

    def is_unseen(r: Recording) -> bool:
        return r.role == "known" and bool(r.song_type) and kept.get(r.label) == r.song_type

    heard = {
        group_of(r, by)
        for r in recordings
        if r.split == "dev" and r.role in ("known", "unknown") and not is_unseen(r)
    }
    return tuple(
        dataclasses.replace(r, split="unused" if group_of(r, by) in heard else "test", fold=-1)
        if is_unseen(r)
        else r
        for r in recordings
    )
