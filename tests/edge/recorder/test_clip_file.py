"""What a clip says of itself, read by other people's programs: guano, flac and libsndfile."""

from __future__ import annotations

import subprocess
import tracemalloc
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile
from guano import GuanoFile

from edge.bundle import Label
from edge.recorder.clip_file import Form, encode, guano
from edge.recorder.recent_audio import Excerpt, Pcm
from tests.edge.recorder.test_clips import CLOCK, PROVENANCE, RATE, detection

pytestmark = pytest.mark.flac
OWL = Label(label="little_owl", common_name="Little Owl", scientific_name="Athene noctua")
NAMED = replace(PROVENANCE, labels={"little_owl": OWL})
POSITION = (-41.2865, 174.7762)


def noise(count: int) -> Pcm:
    return np.random.default_rng(count).integers(-(2**15), 2**15, count).astype(np.int16)


def excerpt(*parts: Pcm, rate_hz: int = 48_000) -> Excerpt:
    return Excerpt(parts=parts, sample_rate_hz=rate_hz, start_sample=RATE)


def written(
    file: Path, sound: Excerpt, *, label: str | None = "little_owl", where: bool = True
) -> Path:
    metadata = guano(
        detection(RATE, 2 * RATE, label=label),
        sound,
        clock=CLOCK,
        device="pond",
        position=POSITION if where else None,
        provenance=NAMED,
    )
    form: Form = "flac" if file.suffix == ".flac" else "wav"
    file.write_bytes(b"".join(encode(sound, form, metadata)))
    return file


def metadata_of(clip: Path) -> GuanoFile:
    """Read a clip as people who work with GUANO do; a FLAC is made a WAV again first."""
    if clip.suffix == ".flac":
        wav = clip.with_suffix(".again.wav")
        command = ["flac", "-d", "-s", "-f", "--keep-foreign-metadata", "-o", str(wav), str(clip)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        assert not {"WARNING", "ERROR"} & set(said.stderr.replace(":", " ").split()), said.stderr
        clip = wav
    return GuanoFile(str(clip), strict=True)


def assert_says_what_it_is(metadata: GuanoFile) -> None:
    assert metadata["GUANO|Version"] == "1.0"
    assert metadata["Timestamp"] == datetime(2024, 5, 1, 5, 30, 1, tzinfo=timezone.utc)
    assert metadata["Samplerate"] == 48_000
    assert metadata["Length"] == pytest.approx(12_345 / 48_000, abs=1e-6)
    assert metadata["Species Auto ID"] == "Athene noctua"
    assert metadata["Edge|Label"] == "little_owl"
    assert metadata["Loc Position"] == POSITION
    assert metadata["Serial"] == "pond"
    assert metadata["Edge|Bundle"] == "b" * 64


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_the_guano_package_reads_a_clip(tmp_path: Path, form: Form) -> None:
    clip = written(tmp_path / f"clip.{form}", excerpt(noise(12_000), noise(345)))
    assert_says_what_it_is(metadata_of(clip))


def test_the_comment_of_a_flac_is_the_same_metadata(tmp_path: Path) -> None:
    """For those who have no program `flac`: one line of Python."""
    clip = written(tmp_path / "clip.flac", excerpt(noise(12_345)))
    comment = soundfile.SoundFile(clip).comment
    assert_says_what_it_is(GuanoFile.from_string(comment, strict=True))


def test_a_flac_made_a_wav_again_is_the_clip_as_wav(tmp_path: Path) -> None:
    sound = excerpt(noise(4801))
    metadata_of(written(tmp_path / "a.flac", sound))
    wav = written(tmp_path / "b.wav", sound)
    assert (tmp_path / "a.again.wav").read_bytes() == wav.read_bytes()


@pytest.mark.parametrize("form", ["wav", "flac"])
@pytest.mark.parametrize(
    "rate_hz", [8000, 22_050, 44_100, 96_000, 192_000, 250_000, 384_000, 655_350]
)
def test_samples_and_rate_are_the_card_s(tmp_path: Path, form: Form, rate_hz: int) -> None:
    parts = noise(5000), noise(1)
    clip = written(tmp_path / f"clip.{form}", excerpt(*parts, rate_hz=rate_hz))
    samples, rate = soundfile.read(clip, dtype="int16")
    assert rate == rate_hz
    np.testing.assert_array_equal(samples, np.concatenate(parts))
    assert metadata_of(clip)["Samplerate"] == rate_hz
    if form == "flac":
        subprocess.run(["flac", "-t", "-s", "-w", str(clip)], check=True)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_what_is_not_known_is_not_said(tmp_path: Path, form: Form) -> None:
    clip = written(tmp_path / f"clip.{form}", excerpt(noise(100)), label=None, where=False)
    metadata = metadata_of(clip)
    for key in ("Species Auto ID", "Loc Position", "Edge|Label"):
        assert key not in metadata
    assert metadata["Edge|Nearest"] == "peeper"


def test_a_species_without_a_scientific_name_has_its_label(tmp_path: Path) -> None:
    clip = written(tmp_path / "clip.wav", excerpt(noise(100)), label="peeper")
    assert metadata_of(clip)["Species Auto ID"] == "peeper"


def test_a_name_stays_in_its_line() -> None:
    strange = Label(label="x", common_name="X", scientific_name="Bufo\nbufo: Serial: 1")
    text = guano(
        detection(0, 1, label="x"),
        excerpt(noise(10)),
        clock=CLOCK,
        device="pond",
        position=None,
        provenance=replace(PROVENANCE, labels={"x": strange}),
    )
    assert GuanoFile.from_string(text)["Species Auto ID"] == "Bufo bufo: Serial: 1"


def test_a_clip_takes_no_more_memory_than_what_is_made_of_it() -> None:
    sound = excerpt(noise(4_000_000))
    for form, most in (("wav", 100_000), ("flac", 10_000_000)):  # noise, which FLAC cannot shrink
        tracemalloc.start()
        content = encode(sound, form, "GUANO|Version: 1.0\n")  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sum(memoryview(part).nbytes for part in content) > 7_990_000
        assert peak < most
