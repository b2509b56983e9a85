"""Events that any bundle makes of other people's recordings, and whether their labels are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from train.corpus.corpus import Recording
from train.judging.events import Events, labels_of, listed
from train.judging.hearing import Heard

__all__ = ["events_heard"]


def events_heard(
    recordings: Sequence[Recording],
    heard: Mapping[int, Heard],
    labels: Sequence[str],
    *,
    may_be: Sequence[bool],
) -> Events:
    """Return the events of what was `heard` of recordings, by their position.

    The recordings have the names of the bundle, whose `labels` these are; those count that
    `may_be` answered.
    """
    rows: list[tuple[int, int, float, bool]] = []
    for i, answer in heard.items():
        present = labels_of(recordings[i])
        found = ((k, score) for k, score in answer.events if may_be[k])
        rows += ((i, k, score, labels[k] in present) for k, score in found)
    return listed(rows)
