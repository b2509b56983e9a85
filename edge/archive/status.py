"""What is in a dataset, and who fills it, said from elsewhere while a job may run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.archive.dataset import holder
from edge.archive.manifest import Maker, chosen_bundle, kept_in, makers_of
from edge.archive.parquet import Row, row_count
from edge.archive.part_files import strange_files
from edge.archive.parts import Parts

__all__ = ["status_lines"]

MOST_SHOWN = 20  # recordings that were not heard
SUMMED = ("audio_s", "judged_s", "missing_s", "detections", "unknowns")
COLUMNS = ("path", "status", "reason", "bundle", *SUMMED)


def status_lines(folder: Path, *, bundle: str | None = None) -> Iterator[str]:
    """Yield what a person wants to know, of each bundle that has heard the dataset or of one.

    Raises `ConfigError` for what is no dataset.
    """
    makers = makers_of(folder, key="DATASET")
    chosen = None if bundle is None else chosen_bundle(folder, bundle)
    who = holder(folder)
    yield f"dataset     {folder}, " + ("at rest" if who is None else f"being filled by {who}")
    counts = _counted(folder, makers)
    for made_by in makers:
        digest, variant, hop_s = (made_by.get(name) for name in ("bundle", "variant", "hop_s"))
        if chosen in (None, digest):
            yield f"bundle      {str(digest)[:12]} ({variant}), hop {hop_s} s"
            yield from counts[str(digest)].lines()
    yield from _not_read(folder)
    if who is None:  # else a part may be half-written
        yield from _damage(folder)


def _counted(folder: Path, makers: Sequence[Maker]) -> dict[str, _Counts]:
    """Return what each bundle has heard, by its digest."""
    counts = {str(maker.get("bundle")): _Counts() for maker in makers}
    only = next(iter(counts.values())) if len(makers) == 1 else None
    parts = Parts(folder)
    for name in parts.names():
        for row in parts.files(name, COLUMNS):
            of_bundle = only or counts.get(row["bundle"])
            if of_bundle is not None:  # else somebody has changed it
                of_bundle.add(row)
    return counts


def _damage(folder: Path) -> Iterator[str]:
    """Yield which files have not as many rows as there should be, by what reads fast."""
    parts, others = Parts(folder), [name for name in kept_in(folder).tables if name != "files"]
    found = []
    for name in parts.names():
        files = parts.files(name, others)
        wrong = [
            table
            for table in others
            if row_count(folder / table / name) != sum(row[table] or 0 for row in files)
        ]
        if files:
            found += [f"{table}/{name}" for table in wrong]
        elif (folder / "files" / name).exists():  # else a kill has left it
            found.append(f"files/{name}")
    if found:
        yield f"damaged     {_first(found)}: hear their recordings again"


def _not_read(folder: Path) -> Iterator[str]:
    """Yield which files lie among the parts and are none, such as copies of a sync program."""
    strange = strange_files(folder, kept_in(folder).tables)
    if strange:
        names = [file.relative_to(folder).as_posix() for file in strange]
        yield f"not read    {_first(names)}: no part of the dataset, as a sync program's copy is"


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more


@dataclass(kw_only=True)
class _Counts:
    """What was heard of some recordings, and which were not."""

    statuses: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    unheard: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.statuses[row["status"]] += 1
        self.sums.update({name: row[name] or 0 for name in SUMMED})
        if row["status"] != "heard":
            self.unheard.append(f"{row['status']}: {row['reason']}")

    def lines(self) -> Iterator[str]:
        sums, unheard = self.sums, self.unheard
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
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
