"""What differs between two datasets as lines of text, and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TextIO

from edge.archive.compare import Change, Comparison, Example, Kind

__all__ = ["comparison_lines", "write_comparison_csv"]

# Each change of a detection, and how an example of it is introduced.
SHOWN: tuple[Kind, ...] = ("gone", "renamed to", "new", "renamed from")
COLUMNS = ("before", "after", "stays", "gone", "renamed to", "new", "renamed from")


def comparison_lines(comparison: Comparison, *, examples: int) -> Iterator[str]:
    """Yield a table of each species and month, and so many `examples` of each kind of change."""
    yield f"{comparison.recordings} recordings heard by both"
    for count, which in zip(comparison.only, ("first", "second"), strict=True):
        if count:
            yield f"left out: {count} that only the {which} dataset has heard"
    width = max([len("species"), *(len(c.label) for c in comparison.changes)])
    yield f"{'species':{width}}  {'month':7}  {'  '.join(f'{name:>6}' for name in COLUMNS)}"
    for label, group in groupby(comparison.changes, key=lambda c: c.label):
        changes = list(group)
        for change in changes:
            yield f"{label:{width}}  {change.month:7}  {_numbers(change)}"
        if len(changes) > 1:
            yield f"{label:{width}}  {'all':7}  {_numbers(_total(label, changes))}"
        for kind in SHOWN:
            for example in comparison.examples.get((label, kind), [])[:examples]:
                yield f"    {_example(kind, example)}"


def write_comparison_csv(stream: TextIO, comparison: Comparison) -> None:
    """Write a row for each species and month."""
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["label", "month", *(name.replace(" ", "_") for name in COLUMNS)])
    for change in comparison.changes:
        rows.writerow([change.label, change.month, *_counts(change)])


def _total(label: str, changes: Sequence[Change]) -> Change:
    total = Change(label=label, month="all")
    for change in changes:
        total.before += change.before
        total.after += change.after
        total.counts.update(change.counts)
    return total


def _counts(change: Change) -> list[int]:
    kinds: tuple[Kind, ...] = ("stays", *SHOWN)
    return [change.before, change.after, *(change.counts[kind] for kind in kinds)]


def _numbers(change: Change) -> str:
    pairs = zip(COLUMNS, _counts(change), strict=True)
    return "  ".join(f"{count:>{max(6, len(name))}}" for name, count in pairs)


def _example(kind: Kind, example: Example) -> str:
    span = f"{example.start_s:.2f}-{example.end_s:.2f} s"
    what = f"{kind} {example.other}" if example.other else kind
    return f"{what}, score {example.score:.2f}: {example.path} {span}"
