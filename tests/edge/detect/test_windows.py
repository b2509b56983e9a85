"""Windows are the same for any partition, cover all that was heard, and never span lost audio."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detect.windows import Windower
from edge.errors import ConfigError
from edge.types import Array, AudioBlock, Window
from tests.support.sources import ArraySource

RATE_HZ = 10
Runs = list[tuple[int, Array]]


def windows(runs: Runs, sizes: list[int], *, window: int = 10, hop: int = 4) -> list[Window]:
    windower = Windower(window_samples=window, hop_samples=hop, sample_rate_hz=RATE_HZ)
    source = ArraySource(runs=runs, sample_rate_hz=RATE_HZ, sizes=sizes)
    return [w for block in source.blocks() for w in windower.push(block)]


def ramp(start: int, length: int) -> tuple[int, Array]:
    """Samples that hold their own index."""
    return start, np.arange(start, start + length, dtype=np.float32)


def bounds(found: list[Window]) -> list[tuple[int, int]]:
    return [(w.start_sample, w.end_sample) for w in found]


def key(w: Window) -> tuple[int, int, bytes]:
    return w.start_sample, w.end_sample, w.samples.tobytes()


run_lengths = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 60)), min_size=1, max_size=4)


@st.composite
def broken_streams(draw: st.DrawFn) -> Runs:
    runs, at = [], 0
    for lost, length in draw(run_lengths):
        runs.append(ramp(at + lost, length))
        at += lost + length
    return runs


@given(broken_streams(), st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 10))
def test_any_partition_gives_the_same_windows(runs: Runs, sizes: list[int], hop: int) -> None:
    assert [key(w) for w in windows(runs, sizes, hop=hop)] == [
        key(w) for w in windows(runs, [10_000], hop=hop)
    ]


@given(broken_streams(), st.integers(1, 10))
def test_no_window_spans_lost_audio(runs: Runs, hop: int) -> None:
    heard = [range(start, start + len(samples)) for start, samples in runs]
    for w in windows(runs, [7], hop=hop):
        assert any(w.start_sample in run and w.end_sample - 1 in run for run in heard)
        length = w.end_sample - w.start_sample
        np.testing.assert_array_equal(w.samples[:length], np.arange(w.start_sample, w.end_sample))


@given(broken_streams(), st.integers(1, 10))
def test_everything_heard_is_in_a_window_or_counted(runs: Runs, hop: int) -> None:
    windower = Windower(window_samples=10, hop_samples=hop, sample_rate_hz=RATE_HZ)
    blocks = ArraySource(runs=runs, sample_rate_hz=RATE_HZ, sizes=[9]).blocks()
    covered = {
        i
        for block in blocks
        for w in windower.push(block)
        for i in range(w.start_sample, w.end_sample)
    }
    assert len(covered) + windower.skipped_samples == sum(len(samples) for _, samples in runs)


def test_windows_come_every_hop_and_one_more_reaches_the_end() -> None:
    assert bounds(windows([ramp(0, 25)], [6])) == [(0, 10), (4, 14), (8, 18), (12, 22), (15, 25)]


def test_nothing_is_heard_twice_where_the_last_window_ends_with_the_audio() -> None:
    assert bounds(windows([ramp(0, 18)], [6])) == [(0, 10), (4, 14), (8, 18)]


def test_a_short_recording_is_looped_from_its_beginning() -> None:
    (w,) = windows([ramp(0, 4)], [3])
    assert (w.start_sample, w.end_sample) == (0, 4)
    np.testing.assert_array_equal(w.samples, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1])


def test_after_a_loss_windows_start_where_audio_starts_again() -> None:
    assert bounds(windows([ramp(0, 12), ramp(20, 14)], [5])) == [
        (0, 10),
        (2, 12),
        (20, 30),
        (24, 34),
    ]


def test_the_window_belongs_to_its_receiver() -> None:
    windower = Windower(window_samples=4, hop_samples=2, sample_rate_hz=RATE_HZ)
    _, samples = ramp(0, 8)
    found = list(windower.push(AudioBlock(start_sample=0, samples=samples, sample_rate_hz=RATE_HZ)))
    found[0].samples[:] = -1
    np.testing.assert_array_equal(found[1].samples, [2, 3, 4, 5])


@pytest.mark.parametrize("hop", [0, 11])
def test_a_hop_that_would_leave_audio_unheard_is_refused(hop: int) -> None:
    with pytest.raises(ConfigError, match="hop"):
        Windower(window_samples=10, hop_samples=hop, sample_rate_hz=RATE_HZ)


def test_blocks_of_another_rate_or_out_of_order_are_refused() -> None:
    windower = Windower(window_samples=4, hop_samples=2, sample_rate_hz=RATE_HZ)
    _, samples = ramp(0, 8)
    list(windower.push(AudioBlock(start_sample=0, samples=samples, sample_rate_hz=RATE_HZ)))
    with pytest.raises(ValueError, match="before"):
        list(windower.push(AudioBlock(start_sample=7, samples=samples, sample_rate_hz=RATE_HZ)))
    with pytest.raises(ValueError, match="Hz"):
        list(windower.push(AudioBlock(start_sample=8, samples=samples, sample_rate_hz=RATE_HZ + 1)))
