"""A header may say what it likes: what is there is heard, and what is not is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import AudioError
from edge.sources.file import FileSource
from edge.types import Array
from tests.support.audio import noise
from tests.support.containers import (
    CONTAINERS,
    RATE_HZ,
    SECONDS,
    encoded,
    flac_total,
    mp3_in_wav,
    with_data_size,
)

FRAMES = round(SECONDS * RATE_HZ)
BYTES = 2 * FRAMES
UNKNOWN = [(1 << 31) - (1 << 16), (1 << 31) - 1, 1 << 31, 0x7FFFF000, 0xFFFFFFF0, 0xFFFFFFFF]


def read(path: Path, content: bytes) -> tuple[Array, FileSource]:
    path.write_bytes(content)
    source = FileSource(str(path), sample_rate_hz=RATE_HZ)
    return np.concatenate([block.samples for block in source.blocks()]), source


def whole(container: str, tmp_path: Path) -> Array:
    return read(tmp_path / f"whole.{container}", encoded(container))[0]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("size", [0, 2, 64_000, BYTES // 2, BYTES - 2000])
def test_a_header_that_says_too_little_hides_nothing(
    tmp_path: Path, container: str, size: int
) -> None:
    content = with_data_size(encoded(container), container, size)
    samples, source = read(tmp_path / "a.wav", content)
    np.testing.assert_array_equal(samples, whole(container, tmp_path))
    assert source.reading.missing_s == 0
    (note,) = source.reading.notes
    assert note == f"recorded 6.00 s, its header says {size / 2 / RATE_HZ:.2f} s"


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_header_that_says_too_much_is_heard_and_what_is_missing_is_named(
    tmp_path: Path, container: str
) -> None:
    content = with_data_size(encoded(container), container, 2 * BYTES)
    samples, source = read(tmp_path / "a.wav", content)
    np.testing.assert_array_equal(samples, whole(container, tmp_path))
    assert source.reading.missing_s == pytest.approx(SECONDS)
    assert source.reading.notes == ("recorded 6.00 s, its header says 12.00 s",)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_that_breaks_off_is_heard_to_its_end(tmp_path: Path, container: str) -> None:
    content = encoded(container)[: -BYTES // 3 - 1]
    samples, source = read(tmp_path / "a.wav", content)
    np.testing.assert_array_equal(samples, whole(container, tmp_path)[: len(samples)])
    assert len(samples) / RATE_HZ == pytest.approx(4.0, abs=0.15)  # CAF is padded before its sound
    assert source.reading.missing_s == pytest.approx(SECONDS - len(samples) / RATE_HZ)
    (note,) = source.reading.notes
    assert note.endswith("its header says 6.00 s")


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU"])
@pytest.mark.parametrize("size", UNKNOWN)
def test_a_size_that_no_writer_counted_promises_nothing(
    tmp_path: Path, container: str, size: int
) -> None:
    samples, source = read(tmp_path / "a", with_data_size(encoded(container), container, size))
    assert len(samples) == FRAMES
    assert source.reading.missing_s == 0
    assert source.reading.notes == ("its header does not say how long it is",)


def test_a_header_that_counts_itself_as_sound_promises_nothing_more(tmp_path: Path) -> None:
    """As that of every file of one recorder's firmware."""
    content = with_data_size(encoded("WAV"), "WAV", BYTES + 44)
    samples, source = read(tmp_path / "a.wav", content)
    assert len(samples) == FRAMES
    assert (source.reading.missing_s, source.reading.notes) == (0, ())


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_filler_behind_the_sound_is_not_heard_and_named(
    tmp_path: Path, container: str, filler: bytes
) -> None:
    samples, source = read(tmp_path / "a.wav", encoded(container) + filler * (100 << 20))
    np.testing.assert_array_equal(samples, whole(container, tmp_path))
    assert source.reading.missing_s == 0
    assert source.reading.notes == ("104,857,600 empty bytes behind the sound are not heard",)


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_a_preallocated_file_whose_header_was_never_written_ends_with_its_sound(
    tmp_path: Path, filler: bytes
) -> None:
    content = with_data_size(encoded("WAV"), "WAV", 0) + filler * (10 << 20)
    samples, _ = read(tmp_path / "a.wav", content)
    assert FRAMES - 8 <= len(samples) <= FRAMES


@pytest.mark.parametrize(
    "tail",
    [
        b"TAG" + bytes(125),
        b"APETAGEX" + bytes(100),
        b"guan\x06\0\0\0TE: 1\n",
        b"LIST\xff\xff\0\0INFOISFT",
        b"junk\0\0\0\0",
    ],
)
def test_chunks_behind_the_sound_are_not_sound(tmp_path: Path, tail: bytes) -> None:
    samples, source = read(tmp_path / "a.wav", encoded("WAV") + tail)
    assert len(samples) == FRAMES
    assert source.reading.notes == ()


def test_bw64_is_rf64_under_another_name(tmp_path: Path) -> None:
    samples, source = read(tmp_path / "a.wav", b"BW64" + encoded("RF64")[4:])
    np.testing.assert_array_equal(samples, whole("RF64", tmp_path))
    assert source.reading.notes == ()


def test_a_header_without_sound_is_refused(tmp_path: Path) -> None:
    for content in (encoded("WAV")[:44], with_data_size(encoded("WAV")[:44], "WAV", 4000)):
        with pytest.raises(AudioError, match="holds no audio, only a header"):
            read(tmp_path / "a.wav", content)
    with pytest.raises(AudioError, match="holds no audio"):
        read(tmp_path / "a.wav", with_data_size(encoded("WAV")[:44], "WAV", 0) + bytes(1 << 20))


def test_a_wav_beyond_4_gib_is_heard_beyond_what_its_size_can_say(tmp_path: Path) -> None:
    """Sparse: the sound is at the end, the rest silence that was never written."""
    path = tmp_path / "a.wav"
    tail = encoded("WAV")[44:]
    size = (1 << 32) + 100 * RATE_HZ
    with path.open("wb") as file:
        file.write(with_data_size(encoded("WAV")[:44], "WAV", size & 0xFFFFFFFF))
        file.seek(44 + size - len(tail))
        file.write(tail)
    facts = FileSource(str(path), sample_rate_hz=RATE_HZ).facts
    assert facts.frames == size // 2
    assert facts.announced_s == (size & 0xFFFFFFFF) / 2 / RATE_HZ


@pytest.mark.parametrize(
    ("total", "missing_s", "note"),
    [
        (0, 0.0, []),
        (FRAMES // 2, 0.0, ["recorded 6.00 s, its header says 3.00 s"]),
        (2 * FRAMES, SECONDS, ["recorded 6.00 s, its header says 12.00 s"]),
    ],
)
def test_a_flac_is_heard_whatever_total_its_header_has(
    tmp_path: Path, total: int, missing_s: float, note: list[str]
) -> None:
    samples, source = read(tmp_path / "a.flac", flac_total(encoded("FLAC"), total))
    np.testing.assert_array_equal(samples, whole("FLAC", tmp_path))
    assert source.reading.missing_s == pytest.approx(missing_s)
    assert list(source.reading.notes) == note


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_filler_behind_a_flac_is_named(tmp_path: Path, filler: bytes) -> None:
    samples, source = read(tmp_path / "a.flac", encoded("FLAC") + filler * (1 << 20))
    np.testing.assert_array_equal(samples, whole("FLAC", tmp_path))
    assert source.reading.notes == ("1,048,576 empty bytes behind the sound are not heard",)


@pytest.mark.parametrize("container", ["FLAC", "OGG"])
def test_recordings_joined_with_cat_are_both_heard(tmp_path: Path, container: str) -> None:
    subtype = "VORBIS" if container == "OGG" else "PCM_16"
    one = encoded(container, subtype=subtype)
    single = read(tmp_path / "one", one)[0]
    samples, source = read(tmp_path / "two", one + one)
    np.testing.assert_array_equal(samples, np.concatenate([single, single]))
    assert source.reading.missing_s == 0


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_breaks_off_is_heard_and_said_to_be_cut(tmp_path: Path, subtype: str) -> None:
    content = encoded("OGG", noise(20, 48_000), subtype, rate_hz=48_000)
    heard, source = read(tmp_path / "a.ogg", content[: len(content) * 2 // 3])
    assert 5 < len(heard) / RATE_HZ < 15
    assert source.reading.missing_s > 0
    assert "its end is cut off within a page" in source.reading.notes


def test_mp3_in_wav_may_decode_a_little_less_than_its_fact_chunk_says(tmp_path: Path) -> None:
    frames = FRAMES + RATE_HZ // 100
    samples, source = read(tmp_path / "a.wav", mp3_in_wav(noise(SECONDS, RATE_HZ), frames))
    assert len(samples) / RATE_HZ == pytest.approx(SECONDS, abs=0.15)
    assert source.reading.missing_s == 0
