"""The least score of each label that keeps a precision among events that were judged."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from edge.bundle.precision import LeastScore, LeastScores, wilson
from edge.bundle.probability import Evidence

__all__ = ["FEWEST", "find_least_scores", "wilson"]

FEWEST = 10  # events with at least the score, by which a label is judged by itself
DIGITS = 6  # decimals of what is kept
Row = tuple[float, bool]


def find_least_scores(evidence: Evidence, precision: float) -> LeastScores:
    """Return from which score on the events of each label are right in the share `precision`.

    At least `FEWEST` events must have that score. Labels with fewer events are judged together, and
    since that says less of each of them, by the lower end of the interval. So are labels whose good
    events are fewer, where these agree.
    """
    by_label: dict[str, list[Row]] = defaultdict(list)
    for label, score, right in evidence.rows():
        by_label[label].append((score, right))
    enough = {label: rows for label, rows in by_label.items() if len(rows) >= FEWEST}
    found = {label: _least(rows, precision) for label, rows in enough.items()}
    others = [row for label, rows in by_label.items() if label not in enough for row in rows]
    everything = [row for rows in by_label.values() for row in rows]
    together = _least(others or everything, precision, surely=True)
    failed = [label for label, least in found.items() if least is None]
    return LeastScores(
        own={label: least for label, least in sorted(found.items()) if least is not None},
        together=together,
        not_kept=tuple(sorted(k for k in failed if not _agrees(enough[k], together, precision))),
    )


def _agrees(rows: list[Row], together: LeastScore | None, precision: float) -> bool:
    """Return whether what there is of a label keeps the precision from the score of others on."""
    kept = [right for score, right in rows if together is not None and score >= together.score]
    return bool(kept) and sum(kept) >= precision * len(kept) - 1e-9


def _least(rows: list[Row], precision: float, *, surely: bool = False) -> LeastScore | None:
    """Return the least score, None where no score has enough events that keep the precision.

    `surely`: the lower end of the interval must keep it.
    """
    if len(rows) < FEWEST:
        return None
    score, right = (np.array(column) for column in zip(*sorted(rows, reverse=True), strict=True))
    # Events with one score are in or out together: only the last of them is a place to cut.
    last = np.append(score[1:] < score[:-1], True)
    count = np.arange(1, len(score) + 1)
    hits = np.cumsum(right)
    share: NDArray[np.float64] = hits / count
    if surely:
        share = np.array([wilson(int(r), int(n))[0] for r, n in zip(hits, count, strict=True)])
    places = np.flatnonzero(last & (count >= FEWEST) & (share >= precision - 1e-9))
    if not len(places):
        return None
    cut = int(places[-1])
    low, high = wilson(int(hits[cut]), cut + 1)
    return LeastScore(
        score=float(score[cut]),
        events=cut + 1,
        right=int(hits[cut]),
        low=round(low, DIGITS),
        high=round(high, DIGITS),
    )
