"""Components that keep the bins of their transforms, which are resized after the level.

Sevilla and Glotin 2017, section 2.1, take the logarithm, clip its outliers, and then resize. Since
transforms of several lengths have several numbers of bins, the rows of all channels stand below
each other in one array until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.channels import BINS, ChannelSpec

if TYPE_CHECKING:
    from edge.bundle.spec import FrontendSpec

__all__ = ["each_channel", "first_channel", "has_bins", "joined", "rows_within"]

Array = NDArray[np.float32]


def has_bins(spec: FrontendSpec) -> bool:
    """Return whether the channels keep their bins; then all do."""
    return spec.channels[0].component == BINS


def rows_within(spec: FrontendSpec, channel: ChannelSpec) -> slice:
    """Return which bins of a channel's transform lie between the spec's frequencies."""
    n_fft = channel.n_fft or spec.n_fft
    hz = np.linspace(0, spec.sample_rate_hz / 2, 1 + n_fft // 2)
    inside = np.flatnonzero((hz >= spec.fmin_hz) & (hz <= spec.fmax_hz))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def joined(spec: FrontendSpec, bands: Sequence[Array]) -> Array:
    """Return components of the power (rows, frames) of each channel.

    They are (channels, n_mels, frames), or (1, all rows, frames) where the channels keep bins.
    """
    return np.concatenate(bands)[np.newaxis] if has_bins(spec) else np.stack(bands)


def each_channel(spec: FrontendSpec, components: Array) -> list[Array]:
    """Return the power (rows, frames) of each channel, of what `joined` returned."""
    if not has_bins(spec):
        return list(components)
    rows = [rows_within(spec, channel) for channel in spec.channels]
    ends = np.cumsum([one.stop - one.start for one in rows])
    return np.split(components[0], ends[:-1])


def first_channel(spec: FrontendSpec, components: NDArray[Any]) -> NDArray[Any]:
    """Return the rows (rows, frames) of the first channel, on which activity is measured."""
    first: NDArray[Any] = components[0]
    if not has_bins(spec):
        return first
    rows = rows_within(spec, spec.channels[0])
    return first[: rows.stop - rows.start]
