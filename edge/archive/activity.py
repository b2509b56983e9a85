"""How often each species was heard, by day and hour of the place, and how long anybody listened.

A count says little without the effort behind it: what is compared is detections for each hour that
was heard. An hour of which nothing was heard has no rate; it is not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.archive.reading import detections_of, whole_files
from edge.clock import EPOCH, parse_zone
from edge.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HOURS", "Activity", "activity_of", "rate"]

HOURS = 24
MOST_CELLS = 250_000_000  # of 8 bytes each: ten years of 2,800 species
# Every time zone of today is off UTC by a multiple of it, and changes at one.
QUARTER_US = 15 * 60 * 1_000_000
FILE_COLUMNS = (
    *("path", "start_utc", "duration_s", "judged_s"),
    *("time_zone", "clock_source"),
)
DETECTION_COLUMNS = ("label", "outcome", "start_utc", "time_zone", "clock_source")
# The time of a file, which a copy changes, says nothing of the hour. A recorder's own clock does,
# also where nobody says of which zone it is.
OF_THE_FILE = "mtime"
Numbers = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Detections of each label, and seconds heard, (days, 24), from `first_day` on.

    `zones` are those of the recordings, None: one whose zone is not known, which is in UTC.
    `undated_s` were heard in hours that no recorder's clock tells, and are in none of them.
    """

    first_day: date
    heard_s: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]
    zones: tuple[str | None, ...]
    undated_s: float

    def by_frequency(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Yield labels with their detections, the most frequent first."""
        yield from sorted(self.counts.items(), key=lambda pair: (-int(pair[1].sum()), pair[0]))

    @property
    def times(self) -> str:
        """What clock the hours are of, in words."""
        known = [zone for zone in self.zones if zone is not None]
        if not known:
            return "UTC, as no recording says its time zone"
        words = known[0] if len(known) == 1 else "local time of each place"
        return f"{words}, and UTC where none is known" if None in self.zones else words


def activity_of(
    folder: Path,
    *,
    labels: frozenset[str] | None = None,
    since: datetime | None = None,
    bundle: str | None = None,
) -> Activity:
    """Return the activity in the dataset at `folder`: of `labels`, None: of all species.

    Only the time from `since` on counts. Raises `ConfigError` where several bundles have heard it
    and none is chosen by `bundle`.
    """
    from_us = None if since is None else _microseconds(since)
    files = whole_files(folder, FILE_COLUMNS, bundle=bundle)
    detections = detections_of(folder, files, DETECTION_COLUMNS, bundle=bundle)
    detections = _wanted(detections, labels)
    local = _LocalHours()
    hours, seconds = _effort(folder, files, local, from_us)
    names, of, at = _events(detections, local, from_us)
    both = np.concatenate([hours, at])
    first = int(both.min()) // HOURS if len(both) else EPOCH.toordinal()
    days = int(both.max()) // HOURS - first + 1 if len(both) else 1
    size = days * HOURS
    _refuse_too_much(folder, size * (1 + max(len(names), len(labels or ()))))
    heard_s = np.bincount(hours - first * HOURS, seconds, size).reshape(days, HOURS)
    counts = np.bincount(of * size + at - first * HOURS, minlength=len(names) * size)
    by_label = counts.reshape(len(names), days, HOURS)
    found = {name: by_label[k] for k, name in enumerate(names) if by_label[k].any()}
    return Activity(
        first_day=date.fromordinal(first),
        heard_s=heard_s.astype(np.float64),
        counts=found if labels is None else {label: _of(found, label, days) for label in labels},
        zones=tuple(local.zones),
        undated_s=_undated_s(files),
    )


def rate(counts: NDArray[np.int64], heard_h: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return detections for each hour heard, NaN where nothing was heard."""
    rates = np.full(heard_h.shape, np.nan)
    np.divide(counts, heard_h, out=rates, where=heard_h > 0)
    return rates


def _of(found: Mapping[str, NDArray[np.int64]], label: str, days: int) -> NDArray[np.int64]:
    """Return the detections of a label, also where there are none."""
    return found.get(label, np.zeros((days, HOURS), np.int64))


def _wanted(detections: pa.Table, labels: frozenset[str] | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if labels is None:
        return detections.filter(pc.field("outcome") == "label")
    return detections.filter(pc.field("label").isin(pa.array(sorted(labels), pa.string())))


class _LocalHours:
    """Turns times into hours of the place, counted in days since year 1 times 24."""

    def __init__(self) -> None:
        self.zones: dict[str | None, None] = {}
        self._known: dict[str | None, dict[int, int]] = {}

    def of(self, time_us: Numbers, zones: pa.ChunkedArray[Any]) -> NDArray[np.int64]:
        """Return the hours of times in microseconds since the epoch, each in its own zone."""
        codes, names = _codes(zones)
        quarters, hours = time_us // QUARTER_US, np.empty(len(time_us), np.int64)
        for code, name in enumerate(names):
            own = codes == code
            if own.any():
                self.zones[name] = None
                hours[own] = self._in_zone(quarters[own], name)
        return hours

    def _in_zone(self, quarters: Numbers, name: str | None) -> NDArray[np.int64]:
        zone = timezone.utc if name is None else parse_zone(name)
        known = self._known.setdefault(name, {})
        unique, places = np.unique(quarters, return_inverse=True)
        for quarter in unique.tolist():
            if quarter not in known:
                local = (EPOCH + timedelta(microseconds=quarter * QUARTER_US)).astimezone(zone)
                known[quarter] = local.toordinal() * HOURS + local.hour
        return np.array([known[quarter] for quarter in unique.tolist()], np.int64)[places]


def _refuse_too_much(folder: Path, cells: int) -> None:
    """Raise `ConfigError` for what no memory holds: a few wrong dates make centuries."""
    if cells > MOST_CELLS:
        raise ConfigError(
            "has recordings of too many years, or too many species, to count them by the hour",
            key="DATASET",
            value=folder,
            suggestion="name some with --species, or take less with --since",
        )


def _effort(
    folder: Path, files: pa.Table, local: _LocalHours, from_us: int | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return hours of the place, and how many seconds each recording was heard in each."""
    dated = _dated(files)
    start = _times_us(dated)
    duration = _floats(dated, "duration_s")
    judged = _floats(dated, "judged_s")
    end = start + np.rint(duration * 1e6).astype(np.int64)
    share = judged / np.maximum(duration, 1e-9)  # what was not heard is spread evenly
    begin = start if from_us is None else np.maximum(start, from_us)
    quarters = np.where(end > begin, (end - 1) // QUARTER_US - begin // QUARTER_US + 1, 0)
    _refuse_too_much(folder, int(quarters.sum()))
    of = np.repeat(np.arange(len(start)), quarters)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(quarters) - quarters, quarters)
    quarter_us = (begin[of] // QUARTER_US + nth) * QUARTER_US
    inside = np.minimum(end[of], quarter_us + QUARTER_US) - np.maximum(begin[of], quarter_us)
    zones = dated["time_zone"].take(of)
    return local.of(quarter_us, zones), inside / 1e6 * share[of]


def _events(
    detections: pa.Table, local: _LocalHours, from_us: int | None
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return labels; of each detection, which of them it has, and the hour of the place."""
    dated = _dated(detections)
    times = _times_us(dated)
    if from_us is not None:
        late = np.flatnonzero(times >= from_us)
        dated, times = dated.take(late), times[late]
    codes, names = _codes(dated["label"])
    return [str(name) for name in names], codes, local.of(times, dated["time_zone"])


def _undated_s(files: pa.Table) -> float:
    undated = files.filter(~_hour_is_known())
    return float(np.nansum(_floats(undated, "judged_s")))


def _dated(table: pa.Table) -> pa.Table:
    return table.filter(_hour_is_known())


def _hour_is_known() -> Any:
    """Return the expression of rows whose time says in which hour of the day they were."""
    import pyarrow.compute as pc

    return ~pc.field("start_utc").is_null() & (pc.field("clock_source") != OF_THE_FILE)


def _times_us(table: pa.Table) -> NDArray[np.int64]:
    import pyarrow as pa

    return table["start_utc"].cast(pa.int64()).to_numpy()


def _floats(table: pa.Table, column: str) -> NDArray[np.float64]:
    return table[column].to_numpy().astype(np.float64)


def _codes(column: pa.ChunkedArray[Any]) -> tuple[NDArray[np.int64], list[str | None]]:
    """Return which of its values each cell has, and these."""
    encoded: Any = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
