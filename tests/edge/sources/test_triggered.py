"""What a triggered AudioMoth left out is a gap in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.sources.file import FileSource, length_s
from edge.types import Array
from tests.support.audio import add_chunk, noise
from tests.support.containers import RATE_HZ, audiomoth_blocks

BLOCK = 256
SOUND = noise(256 * 300 / RATE_HZ, RATE_HZ)  # 2.4 s
COMMENT = b"INFOICMT\x2c\0\0\0Recorded at 05:30:00 01/05/2024 (UTC) by AudioMoth"


def runs(path: Path, *, block_s: float = 1.0, rate_hz: int = RATE_HZ) -> list[tuple[int, Array]]:
    """Return unbroken samples with their starts."""
    found: list[tuple[int, Array]] = []
    for block in FileSource(str(path), sample_rate_hz=rate_hz, block_s=block_s).blocks():
        if found and found[-1][0] + len(found[-1][1]) == block.start_sample:
            start, samples = found[-1]
            found[-1] = (start, np.concatenate([samples, block.samples]))
        else:
            found.append((block.start_sample, block.samples))
    return found


def written(path: Path, *pauses: int) -> Path:
    soundfile.write(path, audiomoth_blocks(*pauses)(SOUND), RATE_HZ, subtype="PCM_16")
    return path


@pytest.mark.parametrize("name", ["20240501_053000T.WAV", "20240501_053000T.flac"])
def test_each_block_is_the_pause_that_it_says(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, 7500, 1)
    first, second, third = runs(path)
    part = len(SOUND) // 3
    assert [start for start, _ in (first, second, third)] == [
        0,
        part + 7500 * BLOCK,
        2 * part + 7501 * BLOCK,
    ]
    heard = np.concatenate([samples for _, samples in (first, second, third)])
    np.testing.assert_allclose(heard, SOUND, atol=1e-4)
    assert length_s(str(path)) == (len(SOUND) + 7501 * BLOCK) / RATE_HZ


@pytest.mark.parametrize("block_s", [0.01, 0.37, 100.0])
def test_the_size_of_blocks_changes_nothing(tmp_path: Path, block_s: float) -> None:
    path = written(tmp_path / "20240501_053000T.WAV", 100, 0, 3)
    for one, other in zip(runs(path), runs(path, block_s=block_s), strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])


def test_each_stretch_ends_as_a_recording_does(tmp_path: Path) -> None:
    """So that one shorter than a window is judged, too."""
    path = written(tmp_path / "20240501_053000T.WAV", 100, 100)
    blocks = list(FileSource(str(path), sample_rate_hz=RATE_HZ, block_s=0.3).blocks())
    ends = [block.end_sample for block in blocks if block.last]
    part = len(SOUND) // 3
    assert ends == [part, 2 * part + 100 * BLOCK, 3 * part + 200 * BLOCK]


def test_pauses_keep_their_length_at_another_rate(tmp_path: Path) -> None:
    path = written(tmp_path / "20240501_053000T.WAV", 7500)
    (_, _), (start, _) = runs(path, rate_hz=22_050)
    assert start == round((len(SOUND) // 2 + 7500 * BLOCK) * 22_050 / RATE_HZ)


def test_the_comment_tells_a_triggered_file_that_was_renamed(tmp_path: Path) -> None:
    path = written(tmp_path / "pond.wav", 7500)
    assert len(runs(path)) == 1  # any sound may hold such samples
    add_chunk(path, b"LIST", COMMENT)
    assert len(runs(path)) == 2


def test_silence_is_not_taken_for_a_pause(tmp_path: Path) -> None:
    path = tmp_path / "20240501_053000T.WAV"
    soundfile.write(path, np.zeros(10 * BLOCK, np.float32), RATE_HZ, subtype="PCM_16")
    ((start, samples),) = runs(path)
    assert (start, len(samples)) == (0, 10 * BLOCK)
