"""The picture of activity: for each species a calendar of hours, and its day beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.archive.activity import HOURS, Activity, rate
from edge.clock import EPOCH
from edge.replay.plot import save_picture
from edge.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["MOST_SHOWN", "draw_activity"]

MOST_SHOWN = 8  # species: of more, the most frequent
ROW_INCHES, HEAD_INCHES, WIDTH_INCHES = 1.45, 1.2, 13.0
NOT_HEARD, BAR, EFFORT_BAR = "0.78", "#2a6f97", "#d98032"
Numbers = NDArray[np.float64]


def draw_activity(activity: Activity, *, path: str, name: Callable[[str], str]) -> None:
    """Write the picture to `path`, whose suffix says which format; `name` is that of a label.

    A cell of the calendar is an hour of a day. Grey is one of which nothing was heard.
    """
    shown = list(activity.by_frequency())[:MOST_SHOWN]
    figure = _figure(1 + len(shown))
    rows = figure.subplots(
        1 + len(shown),
        2,
        squeeze=False,
        sharey=True,
        gridspec_kw={"width_ratios": [5, 1]},
    )
    heard_h = activity.heard_s / 3600
    _calendar(rows[0], activity, np.where(heard_h > 0, heard_h, np.nan), "Oranges", "hours heard")
    by_hour = heard_h.sum(axis=0)
    _day(rows[0, 1], np.where(by_hour > 0, by_hour, np.nan), EFFORT_BAR)
    for axes, (label, counts) in zip(rows[1:], shown, strict=True):
        _calendar(axes, activity, rate(counts, heard_h), "YlGnBu", "per hour heard")
        axes[1].set_title("per hour heard", loc="left", fontsize=8)
        _day(axes[1], rate(counts.sum(axis=0), by_hour), BAR)
        axes[0].set_title(
            f"{printable(name(label))}   {int(counts.sum()):,} detections",
            loc="left",
            fontsize=9,
            parse_math=False,
        )
    rows[0, 1].set_title("hours heard", loc="left", fontsize=8)
    rows[0, 0].set_title(_effort_words(activity), loc="left", fontsize=9, parse_math=False)
    _label_axes(rows, activity)
    figure.suptitle(_title(activity, len(shown)), fontsize=10, x=0.01, ha="left")
    save_picture(figure, path)


def _figure(rows: int) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (WIDTH_INCHES, HEAD_INCHES + ROW_INCHES * rows)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _calendar(
    row: NDArray[np.object_], activity: Activity, values: Numbers, colours: str, unit: str
) -> None:
    """Draw values (days, 24), days from left to right, hours upwards."""
    import matplotlib as mpl

    axes: Axes = row[0]
    known = values[np.isfinite(values)]
    busy = known[known > 0]
    first = (activity.first_day - EPOCH.date()).days  # as matplotlib counts
    image: AxesImage = axes.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=mpl.colormaps[colours].with_extremes(bad=NOT_HEARD),
        extent=(first, first + len(values), 0, HOURS),
        vmin=0,
        # A percentile: one night of a chorus would otherwise leave nothing of the others.
        vmax=float(np.percentile(busy, 99)) if len(busy) else 1.0,
    )
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, aspect=12, extend="max")
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _day(axes: Axes, values: Numbers, colour: str) -> None:
    """Draw values (24,) along the hours of the calendar; grey is an hour that was not heard."""
    hours = np.arange(HOURS) + 0.5
    axes.barh(hours, np.nan_to_num(values), height=1.0, color=colour)
    axes.locator_params(axis="x", nbins=4)
    for hour in np.flatnonzero(np.isnan(values)).tolist():
        axes.axhspan(hour, hour + 1, color=NOT_HEARD, linewidth=0)


def _label_axes(rows: NDArray[np.object_], activity: Activity) -> None:
    from matplotlib import dates as untyped

    dates: Any = untyped
    for axes in rows[:, 0]:
        axes.set(ylim=(0, HOURS), yticks=range(0, HOURS + 1, 6))
        axes.set_ylabel("hour", fontsize=8)
        locator = dates.AutoDateLocator(minticks=3, maxticks=12)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        axes.tick_params(labelbottom=axes is rows[-1, 0])
        axes.xaxis.offsetText.set_visible(axes is rows[-1, 0])
    for axes in rows.ravel():
        axes.tick_params(labelsize=8)


def _effort_words(activity: Activity) -> str:
    days = int((activity.heard_s.sum(axis=1) > 0).sum())
    return f"effort   {activity.heard_s.sum() / 3600:,.0f} h heard on {days} days"


def _title(activity: Activity, shown: int) -> str:
    last = activity.first_day + timedelta(days=len(activity.heard_s) - 1)
    more = len(activity.counts) - shown
    others = f"; {more} rarer species are not shown" if more > 0 else ""
    span = f"{activity.first_day} to {last}, hours in {activity.times}"
    return f"{span}; grey: nothing was heard{others}"
