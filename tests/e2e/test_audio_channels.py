"""A real sound server with two channels: each comes through as it is, a cancelled mix is told.

The server offers any number of channels and mixes what it has into fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.audio import write_audio
from tests.support.bundles import tone
from tests.support.daemons import until
from tests.support.live import edge, live_config, live_recorder
from tests.support.soundserver import DEVICE, QUAD, RATE_HZ, STEREO, SoundServer, hear, sound_server

pytestmark = pytest.mark.audio
Pcm = NDArray[np.int16]


@pytest.fixture
def server() -> Iterator[SoundServer]:
    with sound_server(layout=STEREO) as server:
        server.start()
        yield server


def noise(seconds: float, seed: int) -> Pcm:
    count = round(seconds * RATE_HZ)
    samples = np.random.default_rng(seed).integers(-(2**15), 2**15, count).astype(np.int16)
    samples[[0, -1]] = 12_344 + seed  # so that neither end looks like the silence around it
    return samples


def heard(server: SoundServer, folder: Path, played: Pcm, channel: str) -> NDArray[np.float64]:
    """Return what a microphone of this channel hears of frames (n, channels), in 16-bit steps."""
    silence = np.zeros((RATE_HZ // 2, played.shape[1]), np.int16)
    wav = folder / "noise.wav"
    soundfile.write(wav, np.concatenate([played, silence]), RATE_HZ)
    return hear(server, wav, folder / f"{channel}.npz", channel)


def test_each_channel_is_heard_bit_for_bit_and_a_mix_is_their_mean(
    server: SoundServer, tmp_path: Path, root: Path
) -> None:
    left, right = noise(2, 1), noise(2, 3)
    both = np.stack([left, right], axis=1)
    np.testing.assert_array_equal(heard(server, tmp_path, both, "1"), left)
    np.testing.assert_array_equal(heard(server, tmp_path, both, "2"), right)
    mean = (left.astype(np.float64) + right) / 2
    np.testing.assert_array_equal(heard(server, tmp_path, both, "mix"), mean)


def test_each_of_four_channels_is_heard_bit_for_bit(tmp_path: Path, root: Path) -> None:
    frames = np.stack([noise(1, seed) for seed in range(4)], axis=1)
    with sound_server(layout=QUAD) as server:
        server.start()
        for channel in range(4):
            found = heard(server, tmp_path, frames, str(channel + 1))
            np.testing.assert_array_equal(found, frames[:, channel])


def test_one_of_two_channels_that_cancel_is_heard(
    server: SoundServer, tmp_path: Path, root: Path
) -> None:
    left = np.maximum(noise(2, 1), -(2**15) + 1)
    both = np.stack([left, -left], axis=1)
    np.testing.assert_array_equal(heard(server, tmp_path, both, "1"), left)
    np.testing.assert_array_equal(heard(server, tmp_path, both, "2"), -left)
    assert not len(heard(server, tmp_path, both, "mix"))


def test_a_recorder_says_that_the_channels_of_its_mix_cancel(
    server: SoundServer, tmp_path: Path
) -> None:
    left = tone(1000, 30, RATE_HZ)
    wav = Path(write_audio(tmp_path / "both.wav", np.stack([left, -left], axis=1), RATE_HZ))
    with live_recorder(tmp_path, environ=server.environ) as recorder:
        recorder.ready(60)
        until(lambda: "the microphone is dead, nothing but silence" in recorder.log, 60)
        with server.play(wav) as player:
            until(lambda: "the microphone is cancelled" in recorder.log, 60)
            player.kill()
        recorder.stop()
    (line,) = [line for line in recorder.log.splitlines() if "is cancelled" in line]
    assert "set audio.channel to one" in line


def test_a_clip_is_what_was_played_bit_for_bit(server: SoundServer, tmp_path: Path) -> None:
    """At the card's rate and of the chosen channel, although the model hears at another rate."""
    left, right = tone(1000, 6, RATE_HZ), tone(300, 6, RATE_HZ)
    wav = Path(write_audio(tmp_path / "both.wav", np.stack([left, right], axis=1), RATE_HZ))
    left_pcm = soundfile.read(wav, dtype="int16")[0][:, 0]
    audio = {"device": DEVICE, "channel": 1, "rate_hz": RATE_HZ}
    clips = {"enabled": True, "folder": str(tmp_path / "clips"), "reserve_mb": 0.0}
    with live_recorder(tmp_path, environ=server.environ, audio=audio, clips=clips) as recorder:
        recorder.ready(60)
        assert server.play(wav).wait(60) == 0
        until(lambda: recorder.detections("end"), 60)
        recorder.stop()
        (event, *_) = recorder.detections()
    assert event["label"] == "mid_whistler"
    samples, rate = soundfile.read(tmp_path / "clips" / event["clip"], dtype="int16")
    assert rate == RATE_HZ
    sounding = np.flatnonzero(samples)
    found = samples[sounding[0] : sounding[-1] + 1]
    assert len(found) > RATE_HZ
    expected = left_pcm[np.flatnonzero(left_pcm)[0] :]
    np.testing.assert_array_equal(found, expected[: len(found)])


def test_check_says_what_the_sound_takes_in_memory(server: SoundServer, tmp_path: Path) -> None:
    audio = {"device": DEVICE, "rate_hz": 384_000}
    config = live_config(tmp_path, audio=audio, tracker={}, clips={"enabled": True})
    found = edge("check", "--config", str(config), environ=server.environ)
    assert "of 176 MB of memory for its sound at 384000 Hz" in found.stdout
    config = live_config(tmp_path, audio={**audio, "buffer_s": 3600.0})
    found = edge("check", "--config", str(config), environ=server.environ)
    assert found.returncode == 1
    assert "FAULT  audio: audio.buffer_s = 3600: takes 5583 MB of memory" in found.stdout
