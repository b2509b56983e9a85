"""How well events agree with those that somebody has marked: onset, offset, overlap, segments.

The definitions are those of polyphonic sound event detection (Mesaros, Heittola and Virtanen 2016,
Metrics for polyphonic sound event detection), with the defaults of its authors' sed_eval: events of
a label are matched one to one, as many as can be; the onset may be off by a collar, the offset by
the collar or half of the marked length, whichever is longer; in segments of 1 s a label is there or
not. Overlap is a one-to-one match whose intersection is at least 0.3 of the union (Nolasco et al.
2023, Learning to detect an animal sound from five examples).
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.judging.levels import plain_estimates
from train.judging.metrics import Bootstrap, divided

__all__ = ["COLLARS_S", "Span", "measure_events", "merged"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
COLLARS_S = (0.25, 1.0)
OF_LENGTH = 0.5
OF_UNION = 0.3
SEGMENT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Span:
    """An event in the soundscape at position `recording`, of `label`, from start to end."""

    recording: int
    label: str
    start_s: float
    end_s: float


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in which those of one label that overlap are one, as a recorder has them."""
    by_key: dict[tuple[int, str], list[Span]] = defaultdict(list)
    for span in sorted(spans, key=lambda s: (s.recording, s.label, s.start_s)):
        own = by_key[span.recording, span.label]
        if own and span.start_s < own[-1].end_s:
            before = own.pop()
            own.append(dataclasses.replace(before, end_s=max(before.end_s, span.end_s)))
        else:
            own.append(span)
    return [span for own in by_key.values() for span in own]


def measure_events(
    marked: Sequence[Span],
    found: Sequence[Span],
    seconds: Sequence[float],
    *,
    resamples: int,
) -> list[dict[str, Any]]:
    """Return a row per way of counting: precision, recall and F1 over all events together.

    `seconds` (R,) are the lengths of the recordings. Labels weigh as their events are many.
    """
    recordings = np.arange(len(seconds), dtype=np.int64)
    draw = Bootstrap(recording=recordings, stratum=np.zeros_like(recordings), resamples=resamples)
    return [
        {"counted": name, **plain_estimates(draw.estimates(_scores(counts)))}
        for name, counts in _counts(marked, found, seconds).items()
    ]


def _scores(counts: Floats) -> Callable[[Floats], dict[str, Floats]]:
    """Return what makes scores (B,) of counts (R, 3): right, marked and found."""

    def scores(weights: Floats) -> dict[str, Floats]:
        right, marked, found = (weights @ counts).T
        return {
            "precision": divided(right, found),
            "recall": divided(right, marked),
            "f1": divided(2 * right, marked + found),
        }

    return scores


def _counts(
    marked: Sequence[Span], found: Sequence[Span], seconds: Sequence[float]
) -> dict[str, Floats]:
    """Return right, marked and found (R, 3) of each way of counting."""
    counts: dict[str, Floats] = defaultdict(lambda: np.zeros((len(seconds), 3)))
    groups = _grouped(marked), _grouped(found)
    for i, label in sorted({*groups[0], *groups[1]}):
        own, theirs = (group.get((i, label), np.zeros((0, 2))) for group in groups)
        for name, pairs in _agreements(own, theirs).items():
            counts[name][i] += (_matched(pairs), len(own), len(theirs))
        there, heard = (_segments(spans, seconds[i]) for spans in (own, theirs))
        counts["segments of 1 s"][i] += ((there & heard).sum(), there.sum(), heard.sum())
    return counts


def _grouped(spans: Sequence[Span]) -> dict[tuple[int, str], Floats]:
    by_key: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    for span in spans:
        by_key[span.recording, span.label].append((span.start_s, span.end_s))
    return {key: np.array(own, np.float64) for key, own in by_key.items()}


def _agreements(own: Floats, theirs: Floats) -> dict[str, Mask]:
    """Return which marked events (M, 2) agree with which found ones (F, 2), (M, F), by name."""
    off = np.abs(own[:, np.newaxis] - theirs[np.newaxis])
    length = (own[:, 1] - own[:, 0])[:, np.newaxis]
    agreements: dict[str, Mask] = {}
    for collar in COLLARS_S:
        onset: Mask = off[..., 0] <= collar
        offset: Mask = off[..., 1] <= np.maximum(collar, OF_LENGTH * length)
        agreements[f"onset within {collar:g} s"] = onset
        agreements[f"onset and offset within {collar:g} s"] = np.logical_and(onset, offset)
        agreements[f"offset within {collar:g} s"] = offset
    first, last = np.maximum, np.minimum
    common = last(own[:, None, 1], theirs[None, :, 1]) - first(own[:, None, 0], theirs[None, :, 0])
    union = length + (theirs[:, 1] - theirs[:, 0])[np.newaxis] - np.maximum(common, 0)
    agreements["overlap"] = np.logical_and(common > 0, common >= OF_UNION * union)
    return agreements


def _matched(agree: Mask) -> int:
    """Return how many pairs there are at most, of which each event is in one."""
    if not agree.any():
        return 0
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    pairs = maximum_bipartite_matching(csr_array(agree), perm_type="column")
    return int((pairs >= 0).sum())


def _segments(spans: Floats, seconds: float) -> Mask:
    """Return in which segments of a recording some of the spans (N, 2) are."""
    segments = np.arange(max(1, int(np.ceil(seconds / SEGMENT_S)))) * SEGMENT_S
    inside = (spans[:, :1] < segments + SEGMENT_S) & (spans[:, 1:] > segments)
    within: Mask = np.logical_or.reduce(inside, axis=0)
    return within
