"""MP3s whose header does not give their length: their end must not be lost."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.sources.file import FileSource
from edge.sources.header import audio_facts
from edge.sources.mpeg import Mp3Length, measure_mp3
from edge.sources.opening import EncodedStream
from tests.support.audio import noise
from tests.support.bundles import tone

SECONDS = 24


def variable_mp3(path: Path, rate_hz: int, channels: int) -> Path:
    """Write near silence, then noise: its first frames are far from its mean bit rate."""
    samples = np.concatenate(
        [tone(440, SECONDS - 8, rate_hz, level=1e-4), noise(8, rate_hz, level=0.3)]
    )
    frames = np.repeat(samples[:, np.newaxis], channels, axis=1)
    soundfile.write(
        path,
        frames,
        rate_hz,
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=0.3,
    )
    return path


def without_tag(path: Path) -> Path:
    length = measured(path)
    assert length is not None
    assert length.tagged
    bare = path.with_name("bare.mp3")
    # Its frames are counted from the first one with sound on.
    bare.write_bytes(path.read_bytes()[length.runs[0].start :])
    return bare


def measured(path: Path) -> Mp3Length | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return measure_mp3(data)


def seconds(path: Path) -> float:
    source = FileSource(str(path), sample_rate_hz=22_050)
    assert source.facts.duration_s is not None
    decoded_s = sum(len(block.samples) for block in source.blocks()) / 22_050
    assert decoded_s == pytest.approx(source.facts.duration_s, abs=0.2)
    return decoded_s


@pytest.mark.parametrize("rate_hz", [11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_variable_bit_rate_without_a_tag_is_heard_to_its_end(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    tagged = variable_mp3(tmp_path / "a.mp3", rate_hz, channels)
    assert audio_facts(str(tagged)).layout.streams == (EncodedStream(),)
    bare = without_tag(tagged)
    assert abs(soundfile.info(bare).duration - SECONDS) > 0.1 * SECONDS  # libsndfile's guess
    assert seconds(bare) == pytest.approx(SECONDS, abs=0.3)


def test_recordings_joined_with_cat_are_both_heard(tmp_path: Path) -> None:
    data = variable_mp3(tmp_path / "a.mp3", 44_100, 1).read_bytes()
    joined = tmp_path / "joined.mp3"
    # The ID3v1 tag of the first is between them.
    joined.write_bytes(data + b"TAG".ljust(128, b"\0") + data)
    assert seconds(joined) == pytest.approx(2 * SECONDS, abs=0.3)


def test_tags_before_the_sound_are_skipped(tmp_path: Path) -> None:
    bare = without_tag(variable_mp3(tmp_path / "a.mp3", 44_100, 1))
    titled = tmp_path / "titled.mp3"
    titled.write_bytes(b"ID3\x04\0\0\0\0\x02\0" + b"\xff\xfb\x90" * 85 + b"\0" + bare.read_bytes())
    assert seconds(titled) == pytest.approx(SECONDS, abs=0.3)


def test_the_size_of_blocks_changes_no_sample(tmp_path: Path) -> None:
    bare = str(without_tag(variable_mp3(tmp_path / "a.mp3", 44_100, 1)))
    whole, parts = (
        np.concatenate(
            [b.samples for b in FileSource(bare, sample_rate_hz=22_050, block_s=s).blocks()]
        )
        for s in (100.0, 0.37)
    )
    np.testing.assert_array_equal(parts, whole)


def test_bytes_that_are_not_mp3_have_no_length(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"\xff\xfb\x90\xc4 and then no frame" * 9)
    assert measured(tmp_path / "a.mp3") is None


def test_bytes_between_frames_cost_nothing_but_themselves(tmp_path: Path) -> None:
    """libmpg123 gives up in them."""
    data = without_tag(variable_mp3(tmp_path / "a.mp3", 44_100, 1)).read_bytes()
    half = data.index(data[:2], len(data) // 2)
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(data[:half] + bytes(50_000) + b"\xff" * 50_000 + data[half:])
    assert seconds(broken) == pytest.approx(SECONDS, abs=0.3)


def test_an_erased_end_is_passed_at_once(tmp_path: Path) -> None:
    """Each byte of an erased disk looks like the beginning of a frame."""
    data = variable_mp3(tmp_path / "a.mp3", 44_100, 1).read_bytes()
    erased = tmp_path / "erased.mp3"
    erased.write_bytes(data + b"\xff" * (64 << 20))
    began_s = time.process_time()
    assert seconds(erased) == pytest.approx(SECONDS, abs=0.3)
    assert time.process_time() - began_s < 64 * 0.1  # it was a second a MB
