"""Activity as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edge.archive.activity import Activity, rate

__all__ = ["activity_lines"]

LEVELS = "▁▂▃▄▅▆▇█"
NEVER, NOT_HEARD = "·", " "


def activity_lines(activity: Activity, *, name: Callable[[str], str]) -> Iterator[str]:
    """Yield the effort, then a line for each species; `name` is that of a label.

    The last column is the day from hour 0 to 23, by detections for each hour heard.
    """
    heard_h = activity.heard_s / 3600
    by_hour = heard_h.sum(axis=0)
    days = int((heard_h.sum(axis=1) > 0).sum())
    yield f"{heard_h.sum():.2f} h heard on {days} days from {activity.first_day} on"
    yield f"hours in {activity.times}"
    if activity.undated_s:
        yield f"{activity.undated_s / 3600:.2f} h more were heard, in hours that no clock tells"
    names = {label: name(label) for label in activity.counts}
    width = max([len("species"), *map(len, names.values())])
    yield f"{'species':{width}}  detections  per hour  days  hours 0 to 23"
    for label, counts in activity.by_frequency():
        rates = rate(counts.sum(axis=0), by_hour)
        overall = float(rate(counts.sum(keepdims=True), heard_h.sum(keepdims=True)).item())
        seen = int((counts.sum(axis=1) > 0).sum())
        yield (
            f"{names[label]:{width}}  {int(counts.sum()):10}  {overall:8.2f}  {seen:4}  "
            f"{_strip(rates)}|"
        )


def _strip(rates: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    """Return a character for each hour: blank where nothing was heard."""
    highest = max(float(np.nanmax(rates, initial=0.0)), 1e-12)
    return "".join(
        NOT_HEARD
        if np.isnan(value)
        else NEVER
        if value == 0
        else LEVELS[int(value / highest * (len(LEVELS) - 1))]
        for value in rates
    )
