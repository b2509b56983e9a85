"""What recorders write beside the sound, wherever converters have put it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.clock import rfc3339
from edge.errors import AudioError
from edge.sources.file import FileSource
from edge.sources.header import audio_facts
from tests.support.audio import add_chunk, noise, write_audio

COMMENT = b"Recorded at 05:30:00 01/05/2024 (UTC+2) by AudioMoth 24F319046430B7B1 at medium gain"
MAY = "2024-05-01T03:30:00.000000Z"


def info(comment: bytes) -> bytes:
    comment += b"\0" * (1 + (len(comment) + 1) % 2)
    return b"INFOICMT" + len(comment).to_bytes(4, "little") + comment


def starts(path: Path | str) -> list[tuple[str, str]]:
    return [(source, rfc3339(time)) for source, time in audio_facts(str(path)).metadata.starts()]


MARKERS = b"adtllabl\x09\0\0\0\x01\0\0\0mark\0\0"


@pytest.mark.parametrize("order", [(info(COMMENT), MARKERS), (MARKERS, info(COMMENT))])
def test_no_chunk_hides_another_of_its_name(tmp_path: Path, order: tuple[bytes, bytes]) -> None:
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    for content in order:
        add_chunk(path, b"LIST", content)
    assert starts(path) == [("audiomoth", MAY)]


def test_two_guano_chunks_are_read_in_order_and_the_first_counts(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    add_chunk(path, b"guan", b"Make: X\nTimestamp: 2024-05-01T03:30:00Z\n")
    add_chunk(path, b"guan", b"Timestamp: 2020-01-01T00:00:00Z\nTE: 10\n")
    assert starts(path) == [("guano", MAY)]
    assert audio_facts(path).metadata.time_expansion == 10


@pytest.mark.parametrize("container", ["rf64", "w64"])
def test_metadata_behind_the_sound_is_read_in_large_files(tmp_path: Path, container: str) -> None:
    """RF64 has the size of its sound elsewhere."""
    path = Path(write_audio(tmp_path / f"a.{container}", noise(0.1)))
    text = b"Timestamp: 2024-05-01T03:30:00Z\n"
    if container == "rf64":
        chunk = b"guan" + len(text).to_bytes(4, "little") + text
    else:
        chunk = b"guan".ljust(16, b"\1") + (len(text) + 24).to_bytes(8, "little") + text
    path.write_bytes(path.read_bytes() + chunk)
    assert starts(path) == [("guano", MAY)]


@pytest.mark.flac
def test_a_flac_keeps_what_its_wav_said(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(1))
    add_chunk(path, b"LIST", info(COMMENT))
    add_chunk(path, b"guan", b"Timestamp: 2024-05-01T03:30:00Z\nTE: 2\n")
    command = ["flac", "--silent", "--keep-foreign-metadata", path]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert starts(tmp_path / "a.flac") == [("guano", MAY), ("audiomoth", MAY)]
    assert audio_facts(str(tmp_path / "a.flac")).metadata.time_expansion == 2


@pytest.mark.ffmpeg
def test_a_comment_that_a_converter_carried_over_is_read(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(1))
    comment = ["-metadata", f"comment={COMMENT.decode()}"]
    for name in ("a.flac", "a.ogg", "a.mp3"):
        command = ["ffmpeg", "-v", "error", "-i", path, *comment, str(tmp_path / name)]
        subprocess.run(command, check=True)
        assert starts(tmp_path / name) == [("audiomoth", MAY)], name


@pytest.mark.parametrize(("factor", "times"), [("10", 10.0), ("1", 1.0), ("", 1.0), ("0.5", 0.5)])
def test_time_expanded_sound_is_heard_at_the_rate_of_the_field(
    tmp_path: Path, factor: str, times: float
) -> None:
    path = write_audio(tmp_path / "a.wav", noise(3, 38_400), 38_400)
    add_chunk(path, b"guan", f"GUANO|Version: 1.0\nTE: {factor}\n".encode())
    facts = audio_facts(path)
    assert (facts.sample_rate_hz, facts.duration_s) == (38_400 * times, 3 / times)
    source = FileSource(path, sample_rate_hz=22_050)
    heard_s = sum(len(block.samples) for block in source.blocks()) / 22_050
    assert heard_s == pytest.approx(3 / times, abs=1e-3)
    assert source.reading.missing_s == 0


def test_time_expansion_raises_frequencies(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(2 * 38_400) / 38_400).astype(np.float32) * 0.5
    path = write_audio(tmp_path / "a.wav", tone, 38_400)
    add_chunk(path, b"guan", b"TE: 10\n")
    blocks = FileSource(path, sample_rate_hz=22_050).blocks()
    heard = np.concatenate([block.samples for block in blocks])
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * 22_050 / len(heard) == pytest.approx(5_000, abs=10)


@pytest.mark.parametrize("factor", ["ten", "0", "-10", "1e9", "nan", "inf"])
def test_a_time_expansion_that_is_no_factor_is_refused(tmp_path: Path, factor: str) -> None:
    path = write_audio(tmp_path / "a.wav", noise(1))
    add_chunk(path, b"guan", f"TE: {factor}\n".encode())
    with pytest.raises(AudioError, match=r"a\.wav: GUANO's time expansion TE is no number"):
        audio_facts(path)
