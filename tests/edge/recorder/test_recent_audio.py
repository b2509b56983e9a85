"""The sound that clips are cut from: bit for bit the card's, in its place, in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.recorder.recent_audio import Excerpt, RecentAudio
from edge.sources.audioconfig import AudioConfig
from edge.sources.callbacks import CardAudio
from edge.types import Array
from tests.support.microphones import listening

STREAM_HZ = 22_050


def recent(seconds: float) -> RecentAudio:
    return RecentAudio(stream_rate_hz=STREAM_HZ, capacity=lambda rate_hz: round(seconds * rate_hz))


def push(audio: RecentAudio, samples: Array, rate_hz: int, start: int | None) -> None:
    audio.push(CardAudio(samples=samples, sample_rate_hz=rate_hz, start_sample=start))


def counted(first: int, count: int) -> Array:
    """Return samples that say their own index, exact in 16 bit; none is silence."""
    return ((np.arange(first, first + count) % 32_000 + 1) / 32_768).astype(np.float32)


def whole(excerpt: Excerpt | None) -> NDArray[np.int64]:
    assert excerpt is not None
    return np.concatenate(excerpt.parts).astype(np.int64)


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100, 48_000, 192_000, 384_000])
@pytest.mark.parametrize("chunk", [997, 4800])
def test_the_sound_of_any_rate_is_found_by_the_stream_s_samples(rate_hz: int, chunk: int) -> None:
    audio = recent(2.0)
    for first in range(0, 5 * rate_hz, chunk):
        push(audio, counted(first, chunk), rate_hz, None if first else 0)
    cut = audio.cut(round(4.1 * STREAM_HZ), round(4.6 * STREAM_HZ))
    assert cut is not None
    assert cut.sample_rate_hz == rate_hz
    assert cut.start_sample == pytest.approx(4.1 * STREAM_HZ, abs=1 + STREAM_HZ / rate_hz)
    assert cut.length == pytest.approx(0.5 * rate_hz, abs=2)
    first = round(round(4.1 * STREAM_HZ) * rate_hz / STREAM_HZ)
    expected = np.arange(first, first + cut.length) % 32_000 + 1
    np.testing.assert_array_equal(whole(cut), expected)


def test_lost_audio_is_silence_and_old_audio_is_gone() -> None:
    audio = recent(1000 / STREAM_HZ)
    push(audio, np.full(600, 0.5, np.float32), STREAM_HZ, 0)
    push(audio, np.full(300, 0.5, np.float32), STREAM_HZ, 900)
    cut = audio.cut(0, 5000)
    assert cut is not None
    assert (cut.start_sample, cut.length) == (200, 1000)
    np.testing.assert_array_equal(whole(cut) > 0, np.repeat([1, 0, 1], [400, 300, 300]))
    push(audio, np.full(10, 0.5, np.float32), STREAM_HZ, 10**9)
    assert audio.cut(0, 500) is None
    assert (whole(audio.cut(10**9, 10**9 + 10)) == 16_384).all()
    assert not whole(audio.cut(10**9 - 50, 10**9)).any()


def test_before_any_sound_there_is_nothing() -> None:
    assert recent(1.0).cut(0, 1000) is None


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 900)), min_size=1, max_size=12))
def test_whatever_is_lost_each_sample_stays_in_its_place(runs: list[tuple[int, int]]) -> None:
    """Runs of card samples, each after a loss of stream samples: at most one sample off."""
    rate_hz, audio, at = 48_000, recent(0.05), 0
    places: list[tuple[int, int]] = []  # stream sample and value of each run's first
    value = 1
    for length, lost in runs:
        at += lost
        push(audio, np.full(length, value / 32_768, np.float32), rate_hz, at)
        places.append((at, value))
        at += round(length * STREAM_HZ / rate_hz)
        value += 1
    start, value = places[-1]
    cut = audio.cut(start, at + 1)
    assert cut is not None
    found = whole(cut)
    assert abs(int((found != value).sum())) <= 3
    assert set(found) <= {0, value, value - 1}
    assert audio.size_bytes == 2 * round(0.05 * rate_hz)


def test_a_card_of_another_rate_is_a_border() -> None:
    audio = recent(3.0)
    push(audio, counted(0, 2 * 16_000), 16_000, 0)
    push(audio, counted(0, 2 * 48_000), 48_000, 3 * STREAM_HZ)
    before = audio.cut(round(0.5 * STREAM_HZ), round(3.2 * STREAM_HZ))  # mostly before the border
    after = audio.cut(round(1.8 * STREAM_HZ), round(4.5 * STREAM_HZ))
    assert before is not None
    assert after is not None
    assert (before.sample_rate_hz, before.length) == (16_000, 24_000)
    assert (after.sample_rate_hz, after.length) == (48_000, 72_000)
    assert after.start_sample == 3 * STREAM_HZ
    assert whole(before)[0] == 8001
    assert whole(after)[0] == 1
    # And back: what is held takes no more than the highest rate needs.
    push(audio, counted(0, 16_000), 16_000, 6 * STREAM_HZ)
    assert audio.size_bytes == 2 * 3 * 48_000
    assert whole(audio.cut(3 * STREAM_HZ, 4 * STREAM_HZ))[-1] == 48_000 % 32_000
    assert whole(audio.cut(6 * STREAM_HZ, 7 * STREAM_HZ))[-1] == 16_000


def test_what_a_16_bit_card_gave_comes_out_bit_for_bit_at_its_own_rate() -> None:
    """Through the microphone, whose blocks are resampled for the model."""
    sound = np.random.default_rng(5).integers(-(2**15), 2**15, 96_000).astype(np.int16)
    other = np.zeros_like(sound)
    frames = (np.stack([other, sound], axis=1) / 32_768).astype(np.float32)
    session = listening(frames, rate_hz=48_000, out_hz=STREAM_HZ, config=AudioConfig(channel=2))
    audio = recent(5.0)
    end_sample = [block.end_sample for block in session.blocks()][-1]
    for card in session.card:
        audio.push(card)
    np.testing.assert_array_equal(whole(audio.cut(0, end_sample + 100)), sound)
    assert end_sample == pytest.approx(2 * STREAM_HZ, abs=2)


def test_cutting_takes_no_memory() -> None:
    audio = recent(10.0)
    for first in range(0, 12 * 48_000, 4800):
        push(audio, counted(first, 4800), 48_000, None if first else 0)
    tracemalloc.start()
    cut = audio.cut(3 * STREAM_HZ, 11 * STREAM_HZ)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cut is not None
    assert cut.length == 8 * 48_000
    assert peak < 20_000
