"""A long recording that is cut gives what it gives in one, bit for bit."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.archive.hearing import Hearing, hear
from edge.archive.keeping import Keeps
from edge.archive.stretches import HeardStretch, Stretch, hear_stretch, joined, stretches_of
from edge.bundle import Bundle
from edge.detect.smoothing import SmoothingConfig
from edge.errors import AudioError
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.types import Array
from tests.support.audio import noise, soundscape, write_audio
from tests.support.bundles import choir_bundle, tiny_bundle, tone
from tests.support.containers import audiomoth_blocks

ALL = Keeps(windows=True, embeddings="float32")
SMOOTHED = SmoothingConfig(slide_s=1.5, boost=1.3, boost_s=20.0)


def day(rate_hz: int, *, channels: int = 1) -> Array:
    """Calls at any time, some of them longer than a stretch, a dead microphone, half a window."""
    parts = [
        soundscape(rate_hz),
        tone(1000, 11.3, rate_hz),
        noise(2.1, rate_hz),
        tone(3000, 0.7, rate_hz),
        noise(1.7, rate_hz, seed=3),
        np.zeros(round(9.4 * rate_hz), np.float32),
        soundscape(rate_hz)[::-1],
        tone(300, 7.77, rate_hz),
    ]
    mono = np.concatenate(parts).astype(np.float32)
    return mono if channels == 1 else np.stack([mono, 0.5 * np.roll(mono, 7)], axis=1)


def cut(replayer: Replayer, file: str, task_s: float) -> tuple[Stretch, ...]:
    spec, hop_s = replayer.bundle.frontend, replayer.settings.hop_s
    labels = len(replayer.model.decision.labels)
    return stretches_of(file, spec, hop_s=hop_s, task_s=task_s, labels=labels)


def in_stretches(replayer: Replayer, file: str, task_s: float) -> Hearing:
    """Hear each stretch for itself, in an order that is not that of time, as workers would."""
    recording = Recording(file=file, name=file)
    stretches = cut(replayer, file, task_s)
    assert len(stretches) > 2
    heard = {}
    for stretch in sorted(stretches, key=lambda one: one.start % 7919):
        sent = pickle.loads(pickle.dumps(stretch))
        heard[stretch.start] = pickle.loads(
            pickle.dumps(hear_stretch(replayer, recording, sent, ALL))
        )
    return joined(replayer, recording, stretches, [heard[one.start] for one in stretches], ALL)


def assert_same(found: Hearing, expected: Hearing) -> None:
    assert isinstance(found.outcome, ReplayResult)
    assert found.outcome == expected.outcome
    assert found.tables.keys() == expected.tables.keys() == {"windows", "embeddings"}
    for name, table in expected.tables.items():
        assert found.tables[name].equals(table), name


def whole(replayer: Replayer, file: str) -> Hearing:
    return hear(replayer, Recording(file=file, name=file), ALL)


@pytest.mark.parametrize("smoothing", [SmoothingConfig(), SMOOTHED])
@pytest.mark.parametrize("frames", [False, True])
def test_it_is_what_it_is_in_one_wherever_it_is_cut(
    tmp_path: Path, smoothing: SmoothingConfig, frames: bool
) -> None:
    """Inside events, in a dead stretch, and at every place of a second."""
    bundle = (
        choir_bundle(tmp_path / "choir", frame_threshold=0.5)
        if frames
        else tiny_bundle(tmp_path / "tiny")
    )
    file = write_audio(tmp_path / "20240501_050000.wav", day(8000))
    replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=0.3, smoothing=smoothing))
    expected = whole(replayer, file)
    assert isinstance(expected.outcome, ReplayResult)
    assert len(expected.outcome.detections) > 8
    assert expected.outcome.effort.unjudged_s
    for task_s in (2.3, 5.0, 9.7, 23.0):
        assert_same(in_stretches(replayer, file, task_s), expected)


@pytest.mark.parametrize("hop_s", [1.0, 0.37])
@pytest.mark.parametrize(
    ("rate_hz", "suffix", "channels"),
    [(48_000, "wav", 2), (32_000, "flac", 1), (16_000, "flac", 2), (22_050, "aiff", 1)],
)
def test_resampled_and_in_other_containers(
    bundle: Bundle, tmp_path: Path, hop_s: float, rate_hz: int, suffix: str, channels: int
) -> None:
    file = str(tmp_path / f"20240501_050000.{suffix}")
    soundfile.write(file, day(rate_hz, channels=channels), rate_hz, subtype="PCM_16")
    replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=hop_s))
    assert_same(in_stretches(replayer, file, 11.0), whole(replayer, file))


@pytest.mark.parametrize("length_s", [60.0, 60.999, 61.0, 61.00025, 60.5])
def test_any_length(bundle: Bundle, tmp_path: Path, length_s: float) -> None:
    samples = day(8000)[: round(length_s * 8000)]
    file = write_audio(tmp_path / "20240501_050000.wav", samples)
    replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=0.5))
    assert_same(in_stretches(replayer, file, 10.0), whole(replayer, file))


def test_what_is_said_of_the_sound_adds_up(bundle: Bundle, tmp_path: Path) -> None:
    """Channels that cancel each other, a level that cannot be, samples that are no sound."""
    mono = day(8000)
    frames = np.stack([mono, np.where(np.arange(len(mono)) < 300_000, -mono, mono)], axis=1)
    frames[400_000:400_010] = np.nan
    frames[450_000] = 50.0
    file = write_audio(tmp_path / "20240501_050000.wav", frames, subtype="FLOAT")
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    expected = whole(replayer, file)
    assert isinstance(expected.outcome, ReplayResult)
    assert len(expected.outcome.notes) == 3
    assert_same(in_stretches(replayer, file, 10.0), expected)


def test_what_cannot_be_cut_is_left_whole(bundle: Bundle, tmp_path: Path) -> None:
    """Short ones, those that a trigger has recorded, and what a decoder must begin to read at its
    beginning.
    """
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    short = write_audio(tmp_path / "short.wav", day(8000))
    assert cut(replayer, short, 60.0) == ()
    triggered = tmp_path / "20240501_053000T.wav"
    blocks = audiomoth_blocks(90)(day(8000)[: 2 * 256 * 1000])
    write_audio(triggered, blocks, subtype="PCM_16")
    assert cut(replayer, str(triggered), 5.0) == ()
    for suffix in ("ogg", "mp3"):
        file = str(tmp_path / f"a.{suffix}")
        soundfile.write(file, day(8000), 8000)
        assert cut(replayer, file, 5.0) == ()
    assert cut(replayer, str(tmp_path / "missing.wav"), 5.0) == ()
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert cut(replayer, str(tmp_path / "broken.wav"), 5.0) == ()


def heard_apart(
    replayer: Replayer, file: str
) -> tuple[Recording, tuple[Stretch, ...], list[HeardStretch | AudioError]]:
    recording = Recording(file=file, name=file)
    stretches = cut(replayer, file, 10.0)
    return recording, stretches, [hear_stretch(replayer, recording, s, ALL) for s in stretches]


def test_a_damaged_recording_is_heard_in_one(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "20240501_050000.flac"
    soundfile.write(path, day(8000), 8000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = b"\x55" * 200
    path.write_bytes(content)
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    expected = whole(replayer, str(path))
    assert isinstance(expected.outcome, ReplayResult)
    assert expected.outcome.effort.missing_s > 0
    recording, stretches, heard = heard_apart(replayer, str(path))
    assert_same(joined(replayer, recording, stretches, heard, ALL), expected)


@pytest.mark.parametrize("fault", ["failed", "other sound"])
def test_stretches_that_do_not_fit_are_not_believed(
    bundle: Bundle, tmp_path: Path, fault: str
) -> None:
    file = write_audio(tmp_path / "20240501_050000.wav", day(8000))
    replayer = Replayer(ReplaySettings(bundle=bundle.path))
    recording, stretches, heard = heard_apart(replayer, file)
    one = heard[2]
    assert isinstance(one, HeardStretch)
    other: Sequence[HeardStretch | AudioError] = [
        AudioError("the share was away"),
        replace(one, joint=replace(one.joint, head="0" * 64), predictions=b""),
    ]
    heard[2] = other[fault == "other sound"]
    assert_same(joined(replayer, recording, stretches, heard, ALL), whole(replayer, file))


def test_what_would_be_too_much_to_join_is_not_cut(bundle: Bundle, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "20240501_050000.wav", day(8000))
    spec = bundle.frontend
    some, many = (
        stretches_of(file, spec, hop_s=0.1, task_s=10.0, labels=labels)
        for labels in (6_522, 200_000)
    )
    assert some
    assert not many
