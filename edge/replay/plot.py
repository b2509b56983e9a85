"""The spectrogram of one recording with its detections drawn on it."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

from edge.bundle import Frontend, FrontendSpec
from edge.clock import rfc3339
from edge.errors import ConfigError
from edge.extras import how_to_install
from edge.provenance import Provenance
from edge.replay.attention import COLUMNS, Attention, Floats
from edge.replay.formats.base import ReplayResult
from edge.replay.output import output_file
from edge.sources.file import FileSource
from edge.terminal import printable
from edge.types import Array, Detection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURES", "check_picture", "draw", "save_picture", "spectrogram"]

# How matplotlib calls the formats of pictures, and what it writes into them of the moment.
PICTURES: dict[str, dict[str, None]] = {
    "png": {},
    "jpg": {},
    "jpeg": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
AMIN = 1e-5  # -100 dB
# The veil of attention: a colour that the spectrogram does not have, and how opaque at most.
VEIL, THICKEST = (0.2, 1.0, 0.9), 0.6
STRIP = 0.03  # of the height, for attention in time


def draw(
    result: ReplayResult,
    *,
    path: str,
    spec: FrontendSpec,
    provenance: Provenance,
    attention: Attention | None = None,
) -> None:
    """Write a picture to `path`, which appears when it is complete; the suffix says which format.

    `attention` is a veil, the denser the more of it there is; where there is less than an even gaze
    would give, there is none. What the network says of time is a strip at the bottom, white where
    it is sure to hear something. Raises `ConfigError` where `check_picture` does.
    """
    check_picture(path)
    figure = _figure()
    axes = figure.add_subplot()
    top_khz = spec.sample_rate_hz / 2000
    levels_db = spectrogram(result, spec)
    axes.imshow(
        levels_db,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, result.duration_s, 0, top_khz),
        # Percentiles: a click or the hum at the bottom would otherwise take all the contrast.
        vmin=float(np.nanpercentile(levels_db, 5)),
        vmax=float(np.nanpercentile(levels_db, 99.9)),
    )
    if attention is not None:
        _show(axes, attention, result.duration_s, top_khz=top_khz)
    for i, d in enumerate(result.detections):
        # Two heights, so that names of neighbours stay readable.
        _mark(axes, d, provenance, height_khz=top_khz * (0.90 - 0.08 * (i % 2)))
    axes.set(xlim=(0, result.duration_s), ylim=(0, top_khz))
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")
    # A dollar sign in a file name is not mathematics.
    axes.set_title(_title(result), fontsize=9, parse_math=False)
    save_picture(figure, path)


def check_picture(path: str) -> str:
    """Return the format that the suffix of `path` names.

    Raises `ConfigError` where it names none that can be drawn, and without matplotlib.
    """
    form = os.path.splitext(path)[1].lower().removeprefix(".")
    if form not in PICTURES:
        reason = f"no picture has such a suffix; it is one of {', '.join(PICTURES)}"
        raise ConfigError(reason, key="--plot", value=path)
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ImportError as exc:
        suggestion = how_to_install("plot")
        reason = "needs matplotlib"
        raise ConfigError(reason, key="--plot", value=path, suggestion=suggestion) from exc
    return form


def save_picture(figure: Figure, path: str) -> None:
    """Write a figure to `path`, whose suffix says which format; see `check_picture`."""
    form = check_picture(path)
    with output_file(path) as staging, warnings.catch_warnings():
        # A name in a script that the font does not have shows as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(staging, format=form, metadata=PICTURES[form] or None)


def _title(result: ReplayResult) -> str:
    clock = result.clock
    start = rfc3339(clock.start_utc) if clock.dated else "an unknown date"
    return f"{printable(result.file)}   from {start} ({clock.source})"


def _figure() -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _mark(axes: Axes, d: Detection, provenance: Provenance, *, height_khz: float) -> None:
    """Draw one detection: a tinted span, a line, and its name."""
    colour, name = "white", "unknown"
    if d.label is not None:
        # The same colour for a label in every run of a bundle.
        colour = f"C{list(provenance.labels).index(d.label) % 10}"
        name = provenance.common_name(d.label)
    axes.axvspan(d.start_s, d.end_s, facecolor=colour, alpha=0.12)
    axes.plot([d.start_s, d.end_s], [height_khz, height_khz], color=colour, linewidth=2)
    text = axes.text(d.start_s, height_khz, f" {name} {d.score:.2f}", clip_on=True)
    text.set(color="white", fontsize=8, va="bottom")


def _show(axes: Axes, attention: Attention, duration_s: float, *, top_khz: float) -> None:
    _veil(axes, attention, duration_s)
    if attention.in_time is not None:
        _strip(axes, attention.in_time, duration_s, height_khz=STRIP * top_khz)


def _veil(axes: Axes, attention: Attention, duration_s: float) -> None:
    from matplotlib.colors import ListedColormap

    strength = attention.strength
    axes.pcolormesh(
        np.linspace(0, duration_s, strength.shape[1] + 1),
        attention.edges_hz / 1000,
        strength,
        cmap=ListedColormap([(*VEIL, share) for share in np.linspace(0, THICKEST, 64)]),
        vmin=1,
        vmax=max(2, float(strength.max())),
        linewidth=0,
        rasterized=True,
    )


def _strip(axes: Axes, in_time: Floats, duration_s: float, *, height_khz: float) -> None:
    """Draw attention in time as in figure 4 of Sevilla and Glotin 2017, in white segments."""
    axes.imshow(
        in_time[np.newaxis],
        aspect="auto",
        cmap="gray",
        extent=(0, duration_s, 0, height_khz),
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )


def spectrogram(result: ReplayResult, spec: FrontendSpec) -> Array:
    """Return levels (bins, columns) in dB of the whole recording, at most `COLUMNS` wide.

    Each column is the loudest of its frames, and NaN where the recording has a gap.
    """
    frontend = Frontend(spec)
    samples = round(result.duration_s * spec.sample_rate_hz)
    frames = max(1, -(-samples // (COLUMNS * spec.hop_length)))  # of one column
    width = frames * spec.hop_length
    levels = np.full((1 + spec.n_fft // 2, max(1, -(-samples // width))), np.nan, np.float32)
    source = FileSource(
        result.path,
        sample_rate_hz=spec.sample_rate_hz,
        block_s=width / spec.sample_rate_hz,
        channel=result.channel,
    )
    for block in source.blocks():
        column = levels[:, min(block.start_sample // width, levels.shape[1] - 1)]
        loudest = frontend.magnitude(block.samples).max(axis=0)
        np.fmax(column, 20 * np.log10(np.maximum(loudest, AMIN)), out=column)
    return levels
