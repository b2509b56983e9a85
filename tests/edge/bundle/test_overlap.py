"""Frames that overlapping windows have in common are computed once, and change nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import ChannelSpec, Frontend, FrontendSpec
from edge.bundle.overlap import FrameMemory, Frames, shared_hop
from edge.bundle.spec import MaxLevel, QuantileLevel
from edge.detect.windows import Windower
from edge.types import Array, AudioBlock, Window
from tests.edge.bundle.test_real_bands import RATE_HZ, SPEC, STORED, channel
from tests.support.audio import noise

# Frames of the two channels of stored bands are 62 and 63 samples apart.
BOTH, FIRST, SECOND, NEITHER = 62 * 63, 10 * 62, 10 * 63, 4_001
WHOLE = FrontendSpec(
    sample_rate_hz=RATE_HZ,
    window_s=1.0,
    n_fft=256,
    hop_length=100,
    n_mels=12,
    fmax_hz=4_000.0,
    channels=tuple(
        ChannelSpec(component=component, level=MaxLevel(), n_fft=n_fft)
        for component, n_fft in (("mel", None), ("linear", 250), ("percussive", None))
    ),
)
SPECS = {
    "bands of the real part": SPEC,
    "magnitudes, centred": WHOLE,
    "magnitudes, not centred": dataclasses.replace(WHOLE, centred=False),
    "magnitudes, scaled by the window": dataclasses.replace(WHOLE, scaling="min_max"),
    "bins": dataclasses.replace(
        WHOLE,
        fmin_hz=500.0,
        stack=2,
        stack_overlap=1,
        channels=tuple(
            ChannelSpec(component="bins", level=QuantileLevel(), n_fft=n_fft)
            for n_fft in (250, 512)
        ),
    ),
}
# Of the 5th root of a power: the product of matrices rounds its sums in an order that depends on
# how many frames there are. Magnitudes are equal on an x86; elsewhere a transform may round
# otherwise beside others.
TOLERANCE = {"bands of the real part": 2e-2}


def windows(sound: Array, blocks: list[int], *, hop: int, lost_at: int | None) -> list[Window]:
    """Return the windows of a stream that arrives in `blocks`; 1,000 samples are lost once."""
    windower = Windower(window_samples=RATE_HZ, hop_samples=hop, sample_rate_hz=RATE_HZ)
    found: list[Window] = []
    position, start = 0, 0
    edges = sorted({min(n, len(sound)) for n in np.cumsum(blocks)} | {len(sound)})
    for end in edges:
        if lost_at is not None and position >= lost_at:
            start, lost_at = start + 1_000, None
        block = AudioBlock(
            start_sample=start,
            samples=sound[position:end],
            sample_rate_hz=RATE_HZ,
            last=end == len(sound),
        )
        found += windower.push(block)
        start, position = start + end - position, end
    return found


def features_of(spec: FrontendSpec, stream: list[Window]) -> list[Array]:
    frontend, memory = Frontend(spec, STORED), FrameMemory()
    return [
        frontend(w.samples, memory=memory.begin(w.samples, start_sample=w.start_sample))
        for w in stream
    ]


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=25, deadline=None)
@given(
    hop=st.sampled_from([BOTH, FIRST, SECOND, NEITHER, 100, 500]),
    blocks=st.lists(st.integers(1, 9_000), min_size=1, max_size=8),
    lost_at=st.none() | st.integers(1, 20_000),
    offset=st.sampled_from([0.0, 0.9]),
)
def test_the_features_are_those_of_each_window_alone(
    name: str, hop: int, blocks: list[int], lost_at: int | None, offset: float
) -> None:
    sound = noise(3, RATE_HZ, level=0.1) + np.float32(offset)
    stream = windows(sound, blocks, hop=hop, lost_at=lost_at)
    alone = Frontend(SPECS[name], STORED)
    for window, features in zip(stream, features_of(SPECS[name], stream), strict=True):
        expected = alone(window.samples)
        np.testing.assert_allclose(features, expected, rtol=0, atol=TOLERANCE.get(name, 1e-6))
        assert np.median(np.abs(features - expected)) < 1e-6


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=15, deadline=None)
@given(
    hop=st.sampled_from([BOTH, FIRST, 100]),
    blocks=st.lists(st.integers(1, 9_000), min_size=1, max_size=8),
)
def test_blocks_of_any_size_give_the_same_to_the_last_bit(
    name: str, hop: int, blocks: list[int]
) -> None:
    sound = noise(3, RATE_HZ)
    whole = features_of(SPECS[name], windows(sound, [len(sound)], hop=hop, lost_at=None))
    parts = features_of(SPECS[name], windows(sound, blocks, hop=hop, lost_at=None))
    np.testing.assert_array_equal(parts, whole)


class Computing:
    """Gives the index of each frame that it is asked for, and keeps count of them."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, frames: slice) -> Array:
        indices = np.arange(frames.start or 0, frames.stop, dtype=np.float32)
        self.asked += len(indices)
        return indices[np.newaxis]


LAID_OUT = Frames.of(RATE_HZ, n_fft=256, hop_length=100, centred=True)


@pytest.mark.parametrize(
    ("shift", "new"),
    [
        (100, 5),  # two padded at either end, and one that is new
        (4_000, 44),
        (7_600, 80),
        (8_000, 81),  # the next window has nothing of the one before
        (150, 81),  # frames lie elsewhere
        (0, 81),  # the same place: of another recording, or heard again
        (-100, 81),
    ],
)
def test_only_new_frames_are_computed(shift: int, new: int) -> None:
    sound, memory, compute = noise(3, RATE_HZ), FrameMemory(), Computing()
    memory.begin(sound[8_000:16_000], start_sample=8_000).values("n", LAID_OUT, compute)
    assert compute.asked == LAID_OUT.count == 81
    second = sound[8_000 + shift : 16_000 + shift]
    memory.begin(second, start_sample=8_000 + shift).values("n", LAID_OUT, compute)
    assert compute.asked - 81 == new


def test_another_recording_is_not_taken_for_the_one_before() -> None:
    memory, compute = FrameMemory(), Computing()
    for seed, start in ((1, 0), (2, 1_000)):
        samples = noise(1, RATE_HZ, seed=seed)
        memory.begin(samples, start_sample=start).values("n", LAID_OUT, compute)
    assert compute.asked == 2 * 81


def test_a_window_in_between_without_features_hides_nothing() -> None:
    sound, memory, compute = noise(3, RATE_HZ), FrameMemory(), Computing()
    memory.begin(sound[:8_000], start_sample=0).values("n", LAID_OUT, compute)
    memory.begin(sound[1_000:9_000], start_sample=1_000)
    memory.begin(sound[2_000:10_000], start_sample=2_000).values("n", LAID_OUT, compute)
    assert compute.asked == 2 * 81  # right, and computed anew


@pytest.mark.parametrize(
    ("name", "hop"),
    [
        ("bands of the real part", BOTH),
        ("magnitudes, centred", 100),
        ("bins", 100),
        ("magnitudes, scaled by the window", None),
    ],
)
def test_it_is_known_which_hops_share_all_frames(name: str, hop: int | None) -> None:
    assert shared_hop(SPECS[name]) == hop


def test_a_hop_beyond_the_window_shares_nothing() -> None:
    channels = (channel(256, 101, "low"), channel(128, 103, "high"))
    assert shared_hop(dataclasses.replace(SPEC, channels=channels)) is None
