"""The spectrogram of one recording with its detections drawn on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.bundle import Frontend, FrontendSpec
from edge.clock import rfc3339
from edge.errors import ConfigError
from edge.provenance import Provenance
from edge.replay.attention import COLUMNS, Attention
from edge.replay.formats.base import ReplayResult
from edge.replay.output import output_file
from edge.sources.file import FileSource
from edge.types import Array, Detection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "spectrogram"]

AMIN = 1e-5  # -100 dB
# The veil of attention: a colour that the spectrogram does not have, and how opaque at most.
VEIL, THICKEST = (0.2, 1.0, 0.9), 0.6


def draw(
    result: ReplayResult,
    *,
    path: str,
    spec: FrontendSpec,
    provenance: Provenance,
    attention: Attention | None = None,
) -> None:
    """Write a PNG to `path`, which appears when it is complete.

    `attention` is a veil, the denser the more of it there is; where there is less than an even gaze
    would give, there is none. Raises `ConfigError` without matplotlib.
    """
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
        vmin=float(np.percentile(levels_db, 5)),
        vmax=float(np.percentile(levels_db, 99.9)),
    )
    if attention is not None:
        _veil(axes, attention, result.duration_s)
    for i, d in enumerate(result.detections):
        # Two heights, so that names of neighbours stay readable.
        _mark(axes, d, provenance, height_khz=top_khz * (0.90 - 0.08 * (i % 2)))
    axes.set(xlim=(0, result.duration_s), ylim=(0, top_khz))
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")
    title = f"{result.file}   from {rfc3339(result.clock.start_utc)} ({result.clock.source})"
    # A dollar sign in a file name is not mathematics.
    axes.set_title(title, fontsize=9, parse_math=False)
    with output_file(path) as staging:
        figure.savefig(staging, format="png")


def _figure() -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as exc:
        suggestion = "pip install 'edge-monitor[plot]'"
        raise ConfigError("needs matplotlib", key="--plot", suggestion=suggestion) from exc
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


def spectrogram(result: ReplayResult, spec: FrontendSpec) -> Array:
    """Return levels (bins, columns) in dB of the whole recording, at most `COLUMNS` wide.

    Each column is the loudest of its frames.
    """
    frontend = Frontend(spec)
    samples = round(result.duration_s * spec.sample_rate_hz)
    frames = max(1, -(-samples // (COLUMNS * spec.hop_length)))  # of one column
    columns: list[Array] = []
    source = FileSource(
        result.file,
        sample_rate_hz=spec.sample_rate_hz,
        block_s=frames * spec.hop_length / spec.sample_rate_hz,
    )
    for block in source.blocks():
        columns.append(frontend.magnitude(block.samples).max(axis=0))
    levels: Array = 20 * np.log10(np.maximum(np.stack(columns, axis=1), AMIN))
    return levels
