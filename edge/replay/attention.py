"""Where in a recording a network with attention looked (Sevilla and Glotin 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FrontendSpec
from edge.bundle.channels import LINEAR
from edge.bundle.mel import hz_between
from edge.detect.model import Classifier, Model
from edge.detect.signal_health import signal_health
from edge.detect.windows import windower_of
from edge.sources.file import Channel, FileSource
from edge.types import Array

__all__ = ["COLUMNS", "Attention", "Canvas", "Floats", "attention_over"]

COLUMNS = 2000  # a picture shows no more, and a day must fit in memory
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Attention over a whole recording.

    `strength` (bands, columns) is 1 where it is what an even gaze would give, 0 where it is none.
    Band b reaches from `edges_hz[b]` to the next; the columns are of equal length. `in_time`
    (columns,) is how surely something is heard, 0 to 1, None where the network does not say.
    """

    strength: Floats
    edges_hz: Floats
    in_time: Floats | None = None


def attention_over(
    file: str, model: Classifier, *, duration_s: float, hop_s: float, channel: Channel = "mix"
) -> Attention | None:
    """Average the attention of the windows of `file` where they overlap.

    Returns None where the network has no attention, or several judge together. The recording is
    read once more, in windows that overlap by half at most: more looks the same. Memory is that of
    a picture.
    """
    if not isinstance(model, Model) or not model.bundle.manifest.attention:
        return None
    spec = model.bundle.frontend
    windower = windower_of(spec, max(hop_s, spec.window_s / 2))
    source = FileSource(
        file, sample_rate_hz=spec.sample_rate_hz, block_s=spec.window_s, channel=channel
    )
    samples = round(duration_s * spec.sample_rate_hz)
    names = ("attention", "time_attention")[: 1 + model.bundle.manifest.time_attention]
    canvases: list[Canvas] = []
    for block in source.blocks():
        for window in windower.push(block):
            if signal_health(window.samples, model.limits).gated:
                continue  # such a window is not shown to the network
            looked = model.outputs(model.features(window)[0], names)
            parts = [_shares(name, one[0]) for name, one in zip(names, looked, strict=True)]
            canvases = canvases or [Canvas(len(part), samples=samples) for part in parts]
            for canvas, part in zip(canvases, parts, strict=True):
                canvas.add(part, start=window.start_sample, length=spec.window_samples)
    if not canvases:
        return None
    means = [canvas.mean() for canvas in canvases]
    return Attention(
        strength=means[0],
        edges_hz=_edges_hz(spec, len(means[0])),
        in_time=means[1][0] if len(means) > 1 else None,
    )


def _shares(name: str, looked: Array) -> Array:
    """Return attention of a window as a canvas takes it, whose mean is then what it was.

    In time it is of one band, and does not add up to 1.
    """
    return looked[np.newaxis] / np.float32(len(looked)) if name == "time_attention" else looked


class Canvas:
    """Sums over a recording, in columns of equal length, and their weights.

    A column's weight is the number of samples of windows that went into it.
    """

    def __init__(self, bands: int, *, samples: int, most: int = COLUMNS) -> None:
        columns = max(1, min(most, samples))
        self.edges = np.linspace(0, samples, columns + 1)
        self.total, self.weight = np.zeros((bands, columns)), np.zeros(columns)

    def add(self, looked: NDArray[np.float32], *, start: int, length: int) -> None:
        """Add one window's attention (bands, parts), each part taken as constant.

        What lies beyond the recording is its loop, and left out.
        """
        first = max(0, int(np.searchsorted(self.edges, start, side="right")) - 1)
        last = min(len(self.weight), int(np.searchsorted(self.edges, start + length)))
        edges = np.clip(self.edges[first : last + 1], start, start + length)
        borders = start + np.linspace(0, length, looked.shape[1] + 1)
        padded = np.pad(looked, ((0, 0), (1, 0)))
        summed = np.cumsum(padded, axis=1, dtype=np.float64) * length * len(looked)
        at_edges = [np.interp(edges, borders, band) for band in summed]
        self.total[:, first:last] += np.diff(at_edges, axis=1)
        self.weight[first:last] += np.diff(edges)

    def mean(self) -> Floats:
        """Return attention (bands, columns), 0 where there was no window."""
        return self.total / np.maximum(self.weight, 1e-9)


def _edges_hz(spec: FrontendSpec, bands: int) -> Floats:
    """Return borders (bands + 1,) of equal stretches of the frontend's own bands."""
    shares = np.linspace(0, 1, bands + 1)
    if spec.channels[0].component in LINEAR:
        return spec.fmin_hz + shares * (spec.fmax_hz - spec.fmin_hz)
    # The outermost triangles reach a band further than half a band from their centres
    return hz_between(spec.fmin_hz, spec.fmax_hz, (0.5 + shares * spec.n_mels) / (spec.n_mels + 1))
