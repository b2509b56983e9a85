"""A bad sector in a FLAC costs the frames in it, and nothing else moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sources.file import FileSource
from edge.types import Array
from tests.support.audio import noise
from tests.support.containers import RATE_HZ, encoded

SAMPLES = np.round(noise(20, RATE_HZ, seed=3) * 32_768).clip(-32_768, 32_767) / 32_768
SOUND: Array = SAMPLES.astype(np.float32)
WHOLE = encoded("FLAC", SOUND)
FRAME = 4096


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flac") / "a.flac"


def assert_true_where_heard(path: Path, content: bytes) -> tuple[int, FileSource]:
    """Compare every block with the sound at its place; return how much of it there was."""
    path.write_bytes(content)
    source = FileSource(str(path), sample_rate_hz=RATE_HZ)
    heard = end = 0
    for block in source.blocks():
        assert block.start_sample >= end
        end = block.end_sample
        expected = SOUND[block.start_sample : block.end_sample]
        np.testing.assert_allclose(block.samples, expected, atol=1e-6)
        heard += len(block.samples)
    assert heard / RATE_HZ + source.reading.missing_s == pytest.approx(len(SOUND) / RATE_HZ)
    return heard, source


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.integers(200, len(WHOLE) - 1), min_size=1, max_size=12),
    size=st.integers(1, 5000),
)
def test_what_is_heard_beside_damage_is_right_and_in_its_place(
    path: Path, places: list[int], size: int
) -> None:
    content = bytearray(WHOLE)
    for place in places:
        hole = range(place, min(place + size, len(content)))
        content[place : hole.stop] = bytes(byte ^ 0x5A for byte in content[place : hole.stop])
    heard, source = assert_true_where_heard(path, bytes(content))
    # Each hole takes the frames that it touches; a frame is not larger than its samples.
    most = len(places) * (2 + size // 1000) * FRAME
    assert heard >= len(SOUND) - most
    if heard < len(SOUND):
        assert any(note.startswith("damaged at ") for note in source.reading.notes)


def test_one_changed_bit_costs_one_frame(path: Path) -> None:
    content = bytearray(WHOLE)
    content[len(content) // 2] ^= 1
    heard, source = assert_true_where_heard(path, bytes(content))
    assert heard == len(SOUND) - FRAME
    (length, damage) = source.reading.notes
    assert length == f"recorded {heard / RATE_HZ:.2f} s, its header says 20.00 s"
    assert damage.startswith("damaged at ")


def test_a_hole_across_many_frames_is_a_gap_of_their_length(path: Path) -> None:
    half = len(WHOLE) // 2
    content = WHOLE[:half] + bytes(200_000) + WHOLE[half + 200_000 :]
    heard, source = assert_true_where_heard(path, content)
    assert len(SOUND) - heard == pytest.approx(100_000, rel=0.2)
    assert source.reading.missing_s == pytest.approx((len(SOUND) - heard) / RATE_HZ)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(range(125)), bytes(range(256)) * 20_000])
def test_other_bytes_behind_the_frames_take_nothing_away(path: Path, tail: bytes) -> None:
    heard, _ = assert_true_where_heard(path, WHOLE + tail)
    assert heard == len(SOUND)
