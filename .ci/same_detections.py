"""Whether two machines hear the same: two replays of one recording as CSV, row by row.

Every column is to be the same but for scores and novelty, whose last digits are a processor's own.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

MEASURED = ("score", "novelty")
TOLERANCE = 0.02


def main(here: str, there: str) -> str | None:
    """Return what differs, None for nothing; prints how much was compared."""
    lines = [Path(file).read_text(encoding="utf-8").splitlines() for file in (here, there)]
    tables = [list(csv.DictReader(rows)) for rows in lines]
    if len({len(table) for table in tables}) > 1 or not tables[0]:
        return f"{len(tables[0])} detections here and {len(tables[1])} there"
    largest = 0.0
    for row, other in zip(*tables, strict=True):
        differing = [name for name in row if name not in MEASURED and row[name] != other.get(name)]
        if differing:
            name = differing[0]
            return f"{row['id']}: {name} is {row[name]} here and {other.get(name)} there"
        for name in MEASURED:
            largest = max(largest, abs(float(row[name]) - float(other[name])))
    if largest > TOLERANCE:
        return f"scores differ by {largest:.4f}"
    print(f"{len(tables[0])} detections, all the same; scores differ by {largest:.4f} at most")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
