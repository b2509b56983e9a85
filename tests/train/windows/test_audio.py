"""Windows of a recording that is read as a stream are those of the recording read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.audio import noise
from train.windows.audio import BLOCK_S, parts_of, read_audio, windows_at


@pytest.mark.parametrize("rate_hz", [8000, 11_025])
@pytest.mark.parametrize("seconds", [2 * BLOCK_S, 2.5 * BLOCK_S, 3.0])
def test_they_are_the_same(tmp_path: Path, rate_hz: int, seconds: float) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(seconds, rate_hz), rate_hz)
    whole = read_audio(path, 8000)
    length = 8000
    starts = np.sort(np.random.default_rng(0).integers(0, len(whole) - length + 1, 40))
    starts = np.concatenate([[0], starts, [len(whole) - length]])
    windows = list(windows_at(path, 8000, starts, length))
    assert len(windows) == len(starts)
    for start, window in zip(starts, windows, strict=True):
        np.testing.assert_allclose(window, whole[start : start + length], atol=1e-6)


def test_a_short_recording_is_repeated_and_the_end_of_a_long_one_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1, 8000), 8000)
    whole = read_audio(path, 8000)
    (looped,) = windows_at(path, 8000, np.array([0]), 12_000)
    np.testing.assert_array_equal(looped, np.concatenate([whole, whole[:4000]]))
    first, last = windows_at(path, 8000, np.array([0, 5000]), 4000)
    np.testing.assert_array_equal(first, whole[:4000])
    np.testing.assert_array_equal(last, np.concatenate([whole[5000:], np.zeros(1000, np.float32)]))


@pytest.mark.parametrize("count", [1, 20_000, 24_000, 24_001, 45_000])
def test_parts_overlap_and_are_the_whole(tmp_path: Path, count: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(count / 8000, 8000), 8000)
    whole = read_audio(path, 8000)
    parts = list(parts_of(path, 8000, 16_000, 8000))
    assert len(parts) == max(1, -(-(count - 8000) // 16_000))
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part, whole[16_000 * i :][:24_000])
