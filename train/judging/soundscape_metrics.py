"""Numbers of rows of soundscapes: lists by score, and what a bundle gives, nocall included.

r-mAP is the mean over rows of the average precision of a row's list of species, c-mAP the mean over
species of that of the rows by its score (Clementino and Colonna 2020, equations 2 and 3).
All rows are in the lists of c-mAP, with nocall or not, but those whose list lacks the species. One
that the bundle cannot answer counts 0 in both, as does one that occurs where no list has it. For
r-mAP over all rows nocall is a label, too: it stands behind what the bundle gives and before the
rest, so that a row of nocall with n wrong labels has 1 / (n + 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.judging.levels import plain_estimates
from train.judging.metrics import Bootstrap, mean_of
from train.judging.nocall_f1 import f1_of_rows
from train.judging.ranking import TOP, class_precision, list_precision
from train.judging.row_hearing import RowsHeard
from train.judging.soundscape_truth import RowTruth

__all__ = ["JudgedRows", "at_equal_share", "by_species", "measure_lists", "measure_sites"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class JudgedRows:
    """N rows of R soundscapes with their truth and what was heard, in the order of the soundscapes.

    `listed` (R, T) says which species are in the list of each. `lacking` is the number of species
    in them that cannot be answered.
    """

    truth: RowTruth
    listed: Mask
    scores: Floats
    place: Ints
    place_decided: Ints
    place_of_all: Ints
    given: Mask
    said: Ints
    lacking: int

    @staticmethod
    def of(truth: RowTruth, heard: Sequence[RowsHeard], lacking: int) -> JudgedRows:
        """Put together what was heard of all soundscapes."""

        def joined(column: str) -> NDArray[Any]:
            return np.concatenate([getattr(rows, column) for rows in heard])

        return JudgedRows(
            truth=truth,
            listed=np.stack([rows.listed for rows in heard]),
            scores=joined("scores").astype(np.float64),
            place=joined("place"),
            place_decided=joined("place_decided"),
            place_of_all=np.stack([rows.place_of_all for rows in heard]),
            given=joined("given"),
            said=joined("said"),
            lacking=lacking,
        )

    @property
    def in_list(self) -> Mask:
        """Which species the list of each row has (N, T)."""
        return self.listed[self.truth.recording]

    @property
    def right(self) -> Ints:
        """How many of the labels that a row is given are right (N,)."""
        right: Ints = (self.given & self.truth.present).sum(axis=1)
        return right

    def micro_f1(self, weights: Floats) -> Floats:
        """Return micro F1 (B,) of the rows as the bundle decides, under weights (B, N)."""
        return f1_of_rows(self.right, self.said, self.truth.wanted, weights)


def measure_lists(rows: JudgedRows, draw: Bootstrap) -> dict[str, Any]:
    """Return the numbers of all rows; a bootstrap over recordings gives their intervals."""
    truth = rows.truth
    nocall = truth.wanted == 0
    in_list = rows.in_list
    found = truth.present & in_list
    of_rows = {
        "r_map": list_precision(rows.place, found, truth.wanted, top=TOP),
        "map_time_coded": list_precision(rows.place, found, truth.wanted),
        "r_map_with_nocall": np.where(
            nocall,
            1 / (rows.said + 1),
            list_precision(rows.place_decided, found, truth.wanted),
        ),
    }
    listed = {"c_map": in_list & (rows.place < TOP), "c_map_whole_lists": in_list}

    def numbers(weights: Floats) -> dict[str, Floats]:
        return {
            **{name: _class_map(rows, mask, weights) for name, mask in listed.items()},
            **{name: mean_of(values, weights) for name, values in of_rows.items()},
            "map_of_recordings": _recording_map(rows, weights),
            "micro_f1": rows.micro_f1(weights),
        }

    return plain_estimates(draw.estimates(numbers))


def _class_map(rows: JudgedRows, listed: Mask, weights: Floats) -> Floats:
    present = rows.truth.present
    each = [
        class_precision(present[:, t], rows.scores[:, t], listed[:, t], weights)
        for t in np.flatnonzero(present.any(axis=0))
    ]
    count = len(each) + rows.lacking
    total = np.sum(each, axis=0) if each else np.zeros(len(weights))
    return total / count if count else np.full(len(weights), np.nan)


def _recording_map(rows: JudgedRows, weights: Floats) -> Floats:
    """Return the mean over recordings of their list's average precision: all that calls in one."""
    count = len(rows.place_of_all)
    present = np.zeros((count, rows.truth.present.shape[1]), bool)
    np.logical_or.at(present, rows.truth.recording, rows.truth.present)
    wanted = present.sum(axis=1) + rows.truth.missing_in_all
    values = list_precision(rows.place_of_all, present & rows.listed, wanted)
    first = np.unique(rows.truth.recording, return_index=True)[1]
    return mean_of(values, weights[:, first])


def measure_sites(rows: JudgedRows, sites: Sequence[str], draw: Bootstrap) -> list[dict[str, Any]]:
    """Return a row per site: micro F1 as it is, and at the share of nocall of the site with most.

    `sites` (R,) are those of the recordings. Sites differ in how much nocall they have, which is
    easy; Shugayev et al. 2021 (section 3) weigh the rows of one as if it had as much as the other.
    """
    of_row = np.array(sites)[rows.truth.recording]
    nocall = rows.truth.wanted == 0
    names = sorted(set(of_row.tolist()))
    share = max(float(nocall[of_row == name].mean()) for name in names)
    found = []
    for name in names:
        mine = (of_row == name).astype(np.float64)

        def numbers(weights: Floats, mine: Floats = mine) -> Mapping[str, Floats]:
            own = weights * mine
            return {
                "micro_f1": rows.micro_f1(own),
                "at_equal_share": rows.micro_f1(at_equal_share(own, nocall, share)),
            }

        found.append(
            {
                "site": name,
                "rows": int(mine.sum()),
                "nocall": round(float(nocall[mine > 0].mean()), 4),
                "share": round(share, 4),
                **plain_estimates(draw.estimates(numbers)),
            }
        )
    return found


def at_equal_share(weights: Floats, nocall: Mask, share: float) -> Floats:
    """Return weights (B, N) under which rows of nocall weigh `share` of all, with the same sum.

    They are 0 where there are no rows of either kind to weigh.
    """
    total = weights.sum(axis=1, keepdims=True)
    result = np.zeros_like(weights)
    for mask, wanted in ((nocall, share), (~nocall, 1 - share)):
        own = (weights * mask).sum(axis=1, keepdims=True)
        if wanted > 0:
            factor = np.divide(wanted * total, own, out=np.zeros_like(own), where=own > 0)
            result += weights * mask * factor
            result[(own <= 0)[:, 0]] = 0
    return result


def by_species(rows: JudgedRows, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per species that occurs: its rows, average precision, precision and recall."""
    once = np.ones((1, len(rows.said)))
    present = rows.truth.present
    found = []
    for t in np.flatnonzero(present.any(axis=0)).tolist():
        right = int((rows.given[:, t] & present[:, t]).sum())
        given, there = int(rows.given[:, t].sum()), int(present[:, t].sum())
        precision = class_precision(present[:, t], rows.scores[:, t], rows.in_list[:, t], once)[0]
        found.append(
            {
                "species": names[t],
                "rows": there,
                "average_precision": round(float(precision), 4),
                "precision": round(right / given, 4) if given else None,
                "recall": round(right / there, 4),
            }
        )
    return found
