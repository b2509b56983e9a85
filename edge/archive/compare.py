"""What differs between two datasets of the same recordings: detections that stay, go and come.

A detection stays where the other dataset has one of the same label that shares sound with it. One
that shares sound only with another label has changed its name. Recordings that only one of the two
has heard are left out: they say nothing of the bundles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.archive.parquet import Row
from edge.archive.reading import detections_of, whole_files
from edge.clock import parse_zone

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["UNDATED", "UNKNOWN", "Change", "Comparison", "Example", "Kind", "compare"]

Kind = Literal["stays", "gone", "new", "renamed from", "renamed to"]
UNKNOWN, UNDATED = "unknown", "no date"
COLUMNS = ("label", "score", "start_s", "end_s", "start_utc", "time_zone")
MOST_EXAMPLES = 20  # of a species and a kind, that are remembered


@dataclass(frozen=True, kw_only=True)
class Example:
    """A detection that only one of the two has, at a place of a recording.

    `other` is what the other dataset calls it, "" for nothing.
    """

    path: str
    start_s: float
    end_s: float
    score: float
    other: str


@dataclass(kw_only=True)
class Change:
    """What became of the detections of a label in a month: how many there were `before` and are
    `after`, and `counts` of each kind. What stays is counted in the first dataset.
    """

    label: str
    month: str
    before: int = 0
    after: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)


@dataclass(kw_only=True)
class Comparison:
    """All changes, and examples of each label and kind, the best score first.

    `recordings` were heard by both, `only` (2) by one of them.
    """

    recordings: int
    only: tuple[int, int]
    changes: list[Change]
    examples: dict[tuple[str, Kind], list[Example]]


def compare(
    first: Path, second: Path, *, bundles: tuple[str | None, str | None] = (None, None)
) -> Comparison:
    """Return what differs in the dataset `second` from `first`.

    Where several have heard one of them, `bundles` say whose detections are meant.
    """
    sides = list(zip((first, second), bundles, strict=True))
    files = [whole_files(folder, ["path"], bundle=bundle) for folder, bundle in sides]
    paths = [set(table["path"].to_pylist()) for table in files]
    both = paths[0] & paths[1]
    pairs = zip(sides, files, strict=True)
    found = [_by_path(folder, table, both, bundle) for (folder, bundle), table in pairs]
    tally = _Tally()
    for path in sorted(map(str, found[0].keys() | found[1].keys())):
        before, after = (some.get(path, []) for some in found)
        tally.add_before(before, after)
        tally.add_after(after, before)
    return Comparison(
        recordings=len(both),
        only=(len(paths[0] - both), len(paths[1] - both)),
        changes=sorted(tally.changes.values(), key=lambda c: (c.label, c.month)),
        examples=tally.examples(),
    )


class _Tally:
    """Counts what became of detections, recording by recording."""

    def __init__(self) -> None:
        self.changes: dict[tuple[str, str], Change] = {}
        self._examples: dict[tuple[str, Kind], list[Example]] = {}
        self._zones = _Months()

    def add_before(self, own: Sequence[Row], others: Sequence[Row]) -> None:
        """Count the detections `own` that a recording has in the first dataset."""
        for row, names in _names_beside(own, others):
            change = self._change(row)
            change.before += 1
            if change.label in names:
                change.counts["stays"] += 1
            else:
                self._count(change, "renamed to" if names else "gone", row, names)

    def add_after(self, own: Sequence[Row], others: Sequence[Row]) -> None:
        """Count the detections `own` that a recording has in the second dataset."""
        for row, names in _names_beside(own, others):
            change = self._change(row)
            change.after += 1
            if change.label not in names:
                self._count(change, "renamed from" if names else "new", row, names)

    def examples(self) -> dict[tuple[str, Kind], list[Example]]:
        """Return what is remembered, the best score first."""
        return {key: _best(some) for key, some in self._examples.items()}

    def _change(self, row: Row) -> Change:
        label, month = _name(row), self._zones.of(row)
        return self.changes.setdefault((label, month), Change(label=label, month=month))

    def _count(self, change: Change, kind: Kind, row: Row, names: Sequence[str]) -> None:
        change.counts[kind] += 1
        some = self._examples.setdefault((change.label, kind), [])
        spans = {name: row[name] for name in ("path", "start_s", "end_s", "score")}
        some.append(Example(**spans, other=names[0] if names else ""))
        if len(some) >= 10 * MOST_EXAMPLES:
            some[:] = _best(some)


class _Months:
    """Tells in which month of the place something was."""

    def __init__(self) -> None:
        self._zones: dict[str | None, tzinfo] = {None: timezone.utc}

    def of(self, row: Row) -> str:
        if row["start_utc"] is None:
            return UNDATED
        name = row["time_zone"]
        if name not in self._zones:
            self._zones[name] = parse_zone(name)
        return f"{row['start_utc'].astimezone(self._zones[name]):%Y-%m}"


def _best(some: Sequence[Example]) -> list[Example]:
    return sorted(some, key=lambda e: (-e.score, e.path, e.start_s))[:MOST_EXAMPLES]


def _by_path(
    folder: Path, files: pa.Table, both: set[object], bundle: str | None
) -> dict[str, list[Row]]:
    """Return the detections in recordings that both have, of each by their starts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(map(str, both)), pa.string())
    shared = files.filter(pc.field("path").isin(wanted))
    table = detections_of(folder, shared, COLUMNS, bundle=bundle).sort_by(
        [("path", "ascending"), ("start_s", "ascending"), ("end_s", "ascending")]
    )
    rows = table.to_pylist()
    codes = table["path"].combine_chunks().dictionary_encode().indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(rows)] if rows else []
    return {rows[start]["path"]: rows[start:end] for start, end in pairwise(edges)}


def _names_beside(own: Sequence[Row], others: Sequence[Row]) -> Iterator[tuple[Row, list[str]]]:
    """Yield each row with the names of those of `others` that share sound with it, the longest
    share first.

    Both are in the order of their starts.
    """
    open_rows: list[Row] = []
    following = 0
    for row in own:
        while following < len(others) and others[following]["start_s"] < row["end_s"]:
            open_rows.append(others[following])
            following += 1
        # Later ones begin later: what ends before this one is behind all of them.
        open_rows = [other for other in open_rows if other["end_s"] > row["start_s"]]
        shares = [
            (min(row["end_s"], other["end_s"]) - max(row["start_s"], other["start_s"]), other)
            for other in open_rows
        ]
        shared = sorted((pair for pair in shares if pair[0] > 0), key=itemgetter(0), reverse=True)
        yield row, [_name(other) for _, other in shared]


def _name(row: Row) -> str:
    return UNKNOWN if row["label"] is None else str(row["label"])
