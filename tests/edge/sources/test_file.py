"""Recordings are decoded as a stream, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from edge.errors import AudioError
from edge.sources.file import FileSource
from edge.sources.header import audio_facts
from edge.types import Array
from tests.support.audio import noise, write_audio

RATE_HZ = 22_050


def decoded(path: str, *, rate_hz: int = RATE_HZ, block_s: float = 1.0) -> Array:
    return np.concatenate(
        [b.samples for b in FileSource(path, sample_rate_hz=rate_hz, block_s=block_s).blocks()]
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "caf", "w64"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_container_is_decoded_whole(tmp_path: Path, suffix: str, channels: int) -> None:
    samples = np.repeat(noise(3, 48_000)[:, np.newaxis], channels, axis=1)
    path = write_audio(tmp_path / f"a.{suffix}", samples, 48_000)
    result = decoded(path, rate_hz=48_000)
    assert len(result) == len(samples)
    if suffix not in ("ogg", "mp3"):
        np.testing.assert_allclose(result, samples[:, 0], atol=2e-4)


@pytest.mark.parametrize(
    "rate_hz", [2_000, 8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000, 250_000, 384_000]
)
def test_streamed_resampling_equals_resampling_the_whole(tmp_path: Path, rate_hz: int) -> None:
    samples = noise(2.345, rate_hz)
    path = write_audio(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT")
    # What would end behind the recording is left out.
    whole = soxr.resample(samples, rate_hz, RATE_HZ)[: len(samples) * RATE_HZ // rate_hz]
    np.testing.assert_array_equal(decoded(path), whole)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
def test_the_size_of_blocks_changes_no_sample(tmp_path: Path, suffix: str) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", noise(8, 44_100), 44_100)
    whole = decoded(path, block_s=100.0)
    for block_s in (0.01, 0.37, 1.0):
        np.testing.assert_array_equal(decoded(path, block_s=block_s), whole)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise(1, RATE_HZ, seed=1), noise(1, RATE_HZ, seed=2)
    path = write_audio(
        tmp_path / "a.wav", np.stack([left, right], axis=1), RATE_HZ, subtype="FLOAT"
    )
    np.testing.assert_allclose(decoded(path), (left + right) / 2, atol=1e-7)


def test_one_sample_is_a_recording(tmp_path: Path) -> None:
    assert len(decoded(write_audio(tmp_path / "a.wav", noise(1)[:1], RATE_HZ))) == 1


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_nothing_ends_behind_the_recording(tmp_path: Path, rate_hz: int) -> None:
    for frames in (100, rate_hz, rate_hz + 1, 3 * rate_hz + 7):
        path = write_audio(tmp_path / "a.wav", noise(4, rate_hz)[:frames], rate_hz)
        assert len(decoded(path)) <= max(1, frames * RATE_HZ / rate_hz)


def cut(path: str, share: float) -> str:
    os.truncate(path, int(os.path.getsize(path) * share))
    return path


def raw_header(path: Path, rate_hz: int) -> str:
    write_audio(path, noise(0.1, RATE_HZ), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[24:28] = rate_hz.to_bytes(4, "little")
    path.write_bytes(content)
    return str(path)


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def folder(path: Path) -> str:
    path.mkdir()
    return str(path)


BAD: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (lambda p: str(p / "none.wav"), "no such file"),
    "a name that cannot be": (lambda p: str(p / "a\0b.wav"), "cannot be opened"),
    "a folder": (lambda p: folder(p / "a.wav"), "not a regular file"),
    "empty": (lambda p: written(p / "a.wav", b""), "is empty"),
    "text": (lambda p: written(p / "a.wav", b"Dear diary, " * 100), "not audio"),
    "text as mp3": (lambda p: written(p / "a.mp3", b"Dear diary, " * 1000), "not audio"),
    "headerless": (lambda p: written(p / "a.raw", b"\0" * 1000), "headerless"),
    "half a header": (lambda p: cut(write_audio(p / "a.wav", noise(1)), 0.0012), "not audio"),
    "only a header": (lambda p: write_audio(p / "a.wav", noise(1)[:0]), "no audio"),
    "1 Hz": (lambda p: raw_header(p / "a.wav", 1), "sample rate of 1 Hz makes no sense"),
    "4 GHz": (
        lambda p: raw_header(p / "a.wav", 2_000_000_000),
        "sample rate of 2000000000 Hz makes no sense",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_file_and_reason(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make, reason = BAD[case]
    path = make(tmp_path)
    with pytest.raises(AudioError, match=reason) as caught:
        decoded(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert capfd.readouterr().err == ""  # libmpg123 would add remarks of its own


def test_a_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = Path(write_audio(tmp_path / "a.wav", noise(2, RATE_HZ), RATE_HZ))
    content = bytearray(path.read_bytes())
    data = content.index(b"data")
    content[data + 4 : data + 8] = b"\xff" * 4  # as ffmpeg writes into a pipe
    path.write_bytes(content)
    assert len(decoded(str(path))) == 2 * RATE_HZ


def test_facts_of_the_header(tmp_path: Path) -> None:
    facts = audio_facts(write_audio(tmp_path / "a.flac", np.zeros((48_000, 2), np.float32), 48_000))
    assert (facts.sample_rate_hz, facts.channels) == (48_000, 2)
    assert (facts.frames, facts.duration_s) == (48_000, 1.0)


def test_identity_is_of_name_and_content_not_of_place(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    one = audio_facts(write_audio(tmp_path / "a.wav", noise(1))).identity
    assert audio_facts(write_audio(tmp_path / "b" / "a.wav", noise(1))).identity == one
    assert audio_facts(write_audio(tmp_path / "c.wav", noise(1))).identity != one
    assert audio_facts(write_audio(tmp_path / "b" / "a.wav", noise(1, seed=1))).identity != one


def test_libsndfile_reads_what_this_project_promises() -> None:
    assert {"WAV", "FLAC", "OGG", "MP3", "AIFF", "W64", "RF64", "CAF"} <= set(
        soundfile.available_formats()
    )


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e30])
def test_samples_that_no_sound_has_are_silence_and_counted(tmp_path: Path, value: float) -> None:
    samples = noise(3, RATE_HZ)
    spoiled = samples.copy()
    spoiled[RATE_HZ : RATE_HZ + 3] = value
    path = write_audio(tmp_path / "a.wav", spoiled, RATE_HZ, subtype="FLOAT")
    source = FileSource(path, sample_rate_hz=RATE_HZ)
    heard = np.concatenate([block.samples for block in source.blocks()])
    samples[RATE_HZ : RATE_HZ + 3] = 0
    np.testing.assert_array_equal(heard, samples)
    assert source.reading.notes == ("3 samples are no sound (NaN, infinite, huge): silence",)
