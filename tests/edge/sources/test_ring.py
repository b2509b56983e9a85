"""The ring between callback and pipeline: order, wrap-around, and a reader that is overtaken."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.sources.ring import FrameRing


@given(st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=60), st.integers(1, 2))
def test_frames_come_out_in_order_and_every_missing_one_is_counted(
    steps: list[tuple[int, bool]], channels: int
) -> None:
    ring = FrameRing(capacity_frames=12, channels=channels, slots=8)
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
            np.testing.assert_array_equal(
                chunk.frames, np.arange(at, at + len(chunk.frames))[:, None].repeat(channels, 1)
            )
            at += len(chunk.frames)
    assert at == written


def test_a_writer_on_another_thread_never_hands_out_torn_frames() -> None:
    ring = FrameRing(capacity_frames=2000, channels=1, slots=64)
    total = 200_000

    def write() -> None:
        for start in range(0, total, 100):
            ring.write(np.arange(start, start + 100, dtype=np.float32).tobytes(), 0.0, False)

    writer = threading.Thread(target=write)
    writer.start()
    at = 0
    while writer.is_alive() or ring.waiting_frames:
        chunk = ring.read()
        if chunk is None:
            if not writer.is_alive():
                break
            continue
        at += chunk.dropped_frames
        np.testing.assert_array_equal(chunk.frames[:, 0], np.arange(at, at + len(chunk.frames)))
        at += len(chunk.frames)
    writer.join()


def test_an_overflow_in_front_of_what_was_overwritten_is_not_forgotten() -> None:
    ring = FrameRing(capacity_frames=4, channels=1)
    ring.write(np.zeros(4, np.float32).tobytes(), 1.0, True)
    ring.write(np.ones(4, np.float32).tobytes(), 2.0, False)
    chunk = ring.read()
    assert chunk is not None
    assert (chunk.overflow, chunk.dropped_frames, chunk.arrival_s) == (True, 4, 2.0)


def test_writing_takes_no_memory() -> None:
    ring = FrameRing(capacity_frames=8000, channels=2)
    content = np.zeros((400, 2), np.float32).tobytes()
    ring.write(content, 0.0, False)
    tracemalloc.start()
    for _ in range(1000):
        ring.write(content, 0.0, False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4000
