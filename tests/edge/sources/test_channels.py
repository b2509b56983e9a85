"""Which channel of a recording is heard, and what is said of channels that cancel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import AudioError
from edge.sources.channels import Channel
from edge.sources.file import FileSource
from edge.types import Array
from tests.support.audio import noise, write_audio

RATE_HZ = 22_050
LEFT, RIGHT = noise(3, RATE_HZ, seed=1), 3 * noise(3, RATE_HZ, seed=2)


def heard(path: str, channel: Channel) -> tuple[Array, tuple[str, ...]]:
    source = FileSource(path, sample_rate_hz=RATE_HZ, channel=channel)
    samples = np.concatenate([block.samples for block in source.blocks()])
    return samples, source.reading.notes


@pytest.mark.parametrize(
    ("channel", "expected"),
    [(1, LEFT), (2, RIGHT), ("loudest", RIGHT), ("mix", (LEFT + RIGHT) / 2)],
)
def test_a_channel_is_heard_as_it_is(tmp_path: Path, channel: Channel, expected: Array) -> None:
    path = write_audio(
        tmp_path / "a.wav", np.stack([LEFT, RIGHT], axis=1), RATE_HZ, subtype="FLOAT"
    )
    np.testing.assert_allclose(heard(path, channel)[0], expected, atol=1e-7)


def test_the_only_channel_is_the_loudest_and_the_first(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", LEFT, RATE_HZ, subtype="FLOAT")
    for channel in (1, "loudest", "mix"):
        np.testing.assert_array_equal(heard(path, channel)[0], LEFT)


def test_a_channel_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", LEFT, RATE_HZ)
    with pytest.raises(AudioError, match=r"a.wav: has 1 channel, and channel 2 is wanted$"):
        heard(path, 2)


def test_channels_that_cancel_are_named_and_can_be_heard_one_by_one(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", np.stack([LEFT, -LEFT], axis=1), RATE_HZ)
    mixed, notes = heard(path, "mix")
    assert np.abs(mixed).max() < 1e-4
    assert notes == ("its channels cancel each other in 3.0 s of it; --channel 1 hears one",)
    alone, notes = heard(path, 1)
    assert np.abs(alone).max() > 0.1
    assert notes == ()


def test_channels_that_have_nothing_in_common_do_not_cancel(tmp_path: Path) -> None:
    frames = np.stack([noise(3, RATE_HZ, seed=i) for i in range(8)], axis=1)
    assert heard(write_audio(tmp_path / "a.wav", frames, RATE_HZ), "mix")[1] == ()


def test_whole_numbers_in_a_float_file_are_named(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", LEFT * 32_768, RATE_HZ, subtype="FLOAT")
    (note,) = heard(path, "mix")[1]
    assert "where full scale is 1" in note
