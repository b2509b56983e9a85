"""What is in a dataset, and who fills it, said from elsewhere while a job may run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edge.archive.dataset import check_version, holder
from edge.archive.parquet import Row
from edge.archive.parts import Parts

__all__ = ["status_lines"]

MOST_SHOWN = 20  # recordings that were not heard
COLUMNS = ("path", "status", "reason", "audio_s", "judged_s", "missing_s", "detections", "unknowns")


def status_lines(folder: Path) -> Iterator[str]:
    """Yield what a person wants to know; raises `ConfigError` for what is no dataset."""
    made_by = check_version(folder, key="DATASET")
    who = holder(folder)
    yield f"dataset     {folder}, " + ("at rest" if who is None else f"being filled by {who}")
    bundle, variant, hop_s = (made_by.get(name) for name in ("bundle", "variant", "hop_s"))
    yield f"bundle      {str(bundle)[:12]} ({variant}), hop {hop_s} s"
    statuses: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    unheard = []
    for row in _rows(folder):
        statuses[row["status"]] += 1
        sums.update({name: row[name] or 0 for name in COLUMNS[3:]})
        if row["status"] != "heard":
            unheard.append(f"{row['status']}: {row['reason']}")
    counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    yield f"recordings  {counts or 'none yet'}"
    hours = {name: sums[name] / 3600 for name in ("audio_s", "judged_s", "missing_s")}
    yield (
        f"audio       {hours['audio_s']:.2f} h, of which {hours['judged_s']:.2f} h judged; "
        f"{hours['missing_s']:.2f} h missing"
    )
    yield f"detections  {sums['detections']}, of which {sums['unknowns']} unknown"
    yield from unheard[:MOST_SHOWN]
    if len(unheard) > MOST_SHOWN:
        yield f"and {len(unheard) - MOST_SHOWN} more: the table files has them"


def _rows(folder: Path) -> Iterator[Row]:
    parts = Parts(folder)
    for name in parts.names():
        yield from parts.files(name, COLUMNS)
