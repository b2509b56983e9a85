"""Small charts as numbers for SVG: places and sizes, which the templates draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from edge.page.days import Day

__all__ = ["Bar", "Strip", "bars", "days_between", "effort_strip", "level_line"]

STRIP_S = 600  # of a bin in the strip of a day


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar at `x`, `width` wide, `height` high from the bottom of a chart; `text` says it."""

    x: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Strip:
    """What became of the sound of a day, in parts of its width, which is 1000.

    `heard` and `deaf` are bars of height 0..1.
    """

    heard: Sequence[Bar]
    deaf: Sequence[Bar]


def effort_strip(day: Day) -> Strip:
    """Return what was heard and what was not, each ten minutes of a day."""
    length_s = (day.end - day.begin).total_seconds()
    count = max(1, round(length_s / STRIP_S))
    heard, deaf = [0.0] * count, [0.0] * count
    for minute in day.minutes:
        at = min(count - 1, int((minute.start - day.begin).total_seconds() / STRIP_S))
        heard[at] += minute.heard_s
        deaf[at] += minute.deaf_s
    width = 1000 / count

    def strip(seconds: Sequence[float]) -> list[Bar]:
        return [
            Bar(x=i * width, width=width, height=min(1.0, value / STRIP_S), text="")
            for i, value in enumerate(seconds)
            if value
        ]

    return Strip(heard=strip(heard), deaf=strip(deaf))


def bars(values: Mapping[Any, float], keys: Sequence[Any], unit: str) -> list[Bar]:
    """Return a bar for each of `keys` that has a value, the highest of height 1; the chart is 1000
    wide.
    """
    most = max(values.values(), default=0.0) or 1.0
    width = 1000 / max(1, len(keys))
    return [
        Bar(x=i * width, width=width, height=value / most, text=f"{key}: {value:g} {unit}")
        for i, key in enumerate(keys)
        if (value := round(values.get(key, 0.0), 1))
    ]


def days_between(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last`."""
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def level_line(
    levels: Sequence[tuple[datetime, float]], *, begin: datetime, end: datetime, lowest: float
) -> str:
    """Return the points of a line of levels, from `lowest` to 0 dBFS, in a chart of 1000 x 100."""
    length_s = max(1.0, (end - begin).total_seconds())
    points = []
    for at, level in levels:
        x = 1000 * (at - begin).total_seconds() / length_s
        y = 100 * min(max(level / lowest, 0.0), 1.0)
        if 0 <= x <= 1000:
            points.append(f"{x:.1f},{y:.1f}")
    return " ".join(points)
