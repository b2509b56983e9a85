"""Recordings of phones, by FFmpeg's libraries where they are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.errors import AudioError
from edge.sources.av import foreign_format
from edge.sources.file import FileSource, length_s
from tests.support.audio import noise, write_audio

pytestmark = pytest.mark.ffmpeg
ROOT = Path(__file__).resolve().parents[3]
RATE_HZ = 44_100
SECONDS = 4.0
KINDS = {
    "m4a": ["-c:a", "aac"],
    "aac": ["-c:a", "aac"],
    "3gp": ["-c:a", "aac"],
    "wma": ["-c:a", "wmav2"],
    "webm": ["-c:a", "libopus"],
    "mka": ["-c:a", "flac"],
    "wv": ["-c:a", "wavpack"],
}


def memo(folder: Path, suffix: str, channels: int = 1) -> str:
    """Return a recording of noise that grows louder, so that its parts can be told."""
    samples = noise(SECONDS, RATE_HZ) * np.linspace(0.1, 1, round(SECONDS * RATE_HZ))
    frames = np.repeat(samples[:, np.newaxis], channels, axis=1).astype(np.float32)
    wav = write_audio(folder / "memo.wav", frames, RATE_HZ)
    path = folder / f"memo.{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", wav, *KINDS[suffix], str(path)], check=True)
    return str(path)


@pytest.mark.parametrize("suffix", KINDS)
def test_each_format_is_heard_whole(tmp_path: Path, suffix: str) -> None:
    path = memo(tmp_path, suffix)
    assert foreign_format(path) is not None
    source = FileSource(path, sample_rate_hz=22_050)
    samples = np.concatenate([block.samples for block in source.blocks()])
    assert len(samples) / 22_050 == pytest.approx(SECONDS, abs=0.15)
    assert source.reading.missing_s == 0
    quarter = len(samples) // 4
    levels = [np.std(samples[i * quarter : (i + 1) * quarter]) for i in range(4)]
    assert levels == sorted(levels)
    if suffix != "aac":  # which does not say how long it is
        assert length_s(path) == pytest.approx(SECONDS, abs=0.15)


def test_channels_and_the_size_of_blocks_are_as_with_any_recording(tmp_path: Path) -> None:
    path = memo(tmp_path, "m4a", channels=2)
    one, other = (
        np.concatenate(
            [
                block.samples
                for block in FileSource(path, sample_rate_hz=22_050, block_s=s, channel=c).blocks()
            ]
        )
        for s, c in ((100.0, 2), (0.37, 2))
    )
    np.testing.assert_array_equal(one, other)


def test_one_that_breaks_off_is_heard_as_far_as_it_goes_or_refused(tmp_path: Path) -> None:
    whole = Path(memo(tmp_path, "wv")).read_bytes()
    path = tmp_path / "half.wv"
    path.write_bytes(whole[: len(whole) // 2])
    source = FileSource(str(path), sample_rate_hz=22_050)
    heard_s = sum(len(block.samples) for block in source.blocks()) / 22_050
    assert 1.5 < heard_s < 2.5
    assert heard_s + source.reading.missing_s == pytest.approx(SECONDS, abs=0.15)


@pytest.mark.parametrize("content", [b"\0\0\0\x20ftypM4A " + bytes(500), b"wvpk" + bytes(500)])
def test_one_that_is_none_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memo.m4a"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"memo\.m4a: not audio that can be read") as caught:
        FileSource(str(path), sample_rate_hz=22_050)
    assert "\n" not in str(caught.value)


def test_without_the_libraries_the_way_out_is_named(tmp_path: Path) -> None:
    path = memo(tmp_path, "m4a")
    program = (
        "import sys; sys.modules['av'] = None; "
        "import importlib.util as u; find = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name == 'av' else find(name, *a); "
        "from edge.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "replay", path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}: MPEG-4 needs FFmpeg's libraries; ")
    assert "pip install" in line
    assert "ffmpeg -i" in line
