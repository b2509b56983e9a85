"""The ring between callback and pipeline: order, wrap-around, and a reader that is overtaken."""

from __future__ import annotations

import threading
import tracemalloc
import warnings
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.bounds import LOUDEST
from edge.sources.ring import Chunk, SampleRing
from edge.types import Array

Channel = int | Literal["mix"]


def heard(frames: Array, channel: Channel) -> Chunk:
    """Return what comes out of a ring for frames (n, channels)."""
    ring = SampleRing(capacity=1000, channels=frames.shape[1], channel=channel)
    ring.write(np.ascontiguousarray(frames, np.float32).tobytes(), 0.0, False)
    chunk = ring.read()
    assert chunk is not None
    return chunk


@given(st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=60), st.integers(1, 2))
def test_frames_come_out_in_order_and_every_missing_one_is_counted(
    steps: list[tuple[int, bool]], channels: int
) -> None:
    ring = SampleRing(capacity=12, channels=channels, slots=8)
    written = at = 0
    for size, read in [*steps, *[(1, True)] * 40]:
        if len(steps):
            steps = steps[1:]
            frames = np.repeat(
                np.arange(written, written + size, dtype=np.float32)[:, None], channels, axis=1
            )
            ring.write(frames.tobytes(), 0.0, False)
            written += size
        while read and (chunk := ring.read()) is not None:
            at += chunk.dropped_frames
            np.testing.assert_array_equal(chunk.samples, np.arange(at, at + len(chunk.samples)))
            at += len(chunk.samples)
    assert at == written


def test_a_writer_on_another_thread_never_hands_out_torn_frames() -> None:
    ring = SampleRing(capacity=2000, channels=1, slots=64)
    total = 200_000

    def write() -> None:
        for start in range(0, total, 100):
            ring.write(np.arange(start, start + 100, dtype=np.float32).tobytes(), 0.0, False)

    writer = threading.Thread(target=write)
    writer.start()
    at = 0
    while writer.is_alive() or ring.waiting_samples:
        chunk = ring.read()
        if chunk is None:
            if not writer.is_alive():
                break
            continue
        at += chunk.dropped_frames
        np.testing.assert_array_equal(chunk.samples, np.arange(at, at + len(chunk.samples)))
        at += len(chunk.samples)
    writer.join()


def test_an_overflow_in_front_of_what_was_overwritten_is_not_forgotten() -> None:
    ring = SampleRing(capacity=4, channels=1)
    ring.write(np.zeros(4, np.float32).tobytes(), 1.0, True)
    ring.write(np.ones(4, np.float32).tobytes(), 2.0, False)
    chunk = ring.read()
    assert chunk is not None
    assert (chunk.overflow, chunk.dropped_frames, chunk.arrival_s) == (True, 4, 2.0)


@pytest.mark.parametrize("channel", [1, "mix"])
def test_writing_takes_no_memory(channel: Channel) -> None:
    ring = SampleRing(capacity=8000, channels=2, channel=channel)
    content = np.zeros((400, 2), np.float32).tobytes()
    ring.write(content, 0.0, False)
    tracemalloc.start()
    for _ in range(1000):
        ring.write(content, 0.0, False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000


@pytest.mark.parametrize("channels", [1, 2, 5, 17, 64])
def test_one_channel_is_chosen_or_all_are_averaged_as_a_recording_s_are(channels: int) -> None:
    frames = np.random.default_rng(channels).standard_normal((300, channels)).astype(np.float32)
    for channel in range(1, channels + 1):
        np.testing.assert_array_equal(heard(frames, channel).samples, frames[:, channel - 1])
    mean = frames.mean(axis=1, dtype=np.float32)
    np.testing.assert_array_equal(heard(frames, "mix").samples, mean)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, -3e38, 2 * LOUDEST])
@pytest.mark.parametrize("channel", [1, 2, "mix"])
def test_what_no_sound_has_is_silence_and_counted(value: float, channel: Channel) -> None:
    frames = np.full((100, 2), 0.5, np.float32)
    frames[[3, 50], 1] = value
    expected = np.full(100, 0.5, np.float32)
    if channel != 1:
        expected[[3, 50]] = 0.25 if channel == "mix" else 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chunk = heard(frames, channel)
    np.testing.assert_array_equal(chunk.samples, expected)
    assert chunk.invalid_samples == (0 if channel == 1 else 2)


def test_all_that_can_be_a_sound_stays() -> None:
    frames = np.array([[LOUDEST], [-LOUDEST], [0.0], [1e-30]], np.float32)
    chunk = heard(frames, 1)
    assert chunk.invalid_samples == 0
    np.testing.assert_array_equal(chunk.samples, frames[:, 0])


def test_invalid_samples_in_front_of_what_was_overwritten_are_not_forgotten() -> None:
    ring = SampleRing(capacity=4, channels=1)
    ring.write(np.full(4, np.nan, np.float32).tobytes(), 1.0, False)
    ring.write(np.ones(4, np.float32).tobytes(), 2.0, False)
    chunk = ring.read()
    assert chunk is not None
    assert chunk.invalid_samples == 4


def test_a_mix_says_how_far_its_channels_swing() -> None:
    left = np.sin(np.arange(200)).astype(np.float32)
    assert heard(np.stack([left, -left], axis=1), "mix").swing == pytest.approx(2.0, rel=0.01)
    offset = np.stack([np.full(200, 0.7), np.full(200, -0.7)], axis=1)
    assert heard(offset, "mix").swing == 0  # a constant is no sound
    assert heard(left[:, None], "mix").swing == 0  # nothing is mixed


def test_the_memory_does_not_grow_with_the_channels() -> None:
    tracemalloc.start()
    SampleRing(capacity=100_000, channels=64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 700_000
