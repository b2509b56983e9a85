"""A real sound server: every sample arrives, and a recorder finds what `edge replay` finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.audio import soundscape, write_audio
from tests.support.live import edge, live_recorder
from tests.support.soundserver import DEVICE, RATE_HZ, SoundServer, hear

pytestmark = pytest.mark.audio


def test_every_sample_arrives_as_it_was_played(server: SoundServer, tmp_path: Path) -> None:
    played = np.random.default_rng(3).integers(-(2**15), 2**15, 3 * RATE_HZ).astype(np.int16)
    played[[0, -1]] = 12_345  # so that neither end looks like the silence around it
    silence = np.zeros(RATE_HZ // 2, np.int16)  # plays on while the last of it is on its way to us
    wav = Path(write_audio(tmp_path / "noise.wav", np.concatenate([played, silence]), RATE_HZ))
    np.testing.assert_array_equal(hear(server, wav, tmp_path / "heard.npz"), played)


def test_a_recorder_hears_what_replay_hears(server: SoundServer, tmp_path: Path) -> None:
    hop_s = 0.5
    wav = write_audio(tmp_path / "soundscape.wav", soundscape(RATE_HZ), RATE_HZ)
    audio = {"device": DEVICE, "channel": 1, "rate_hz": RATE_HZ}
    bundle = str(tmp_path / "bundle")
    model = {"bundle": bundle, "hop_s": hop_s}
    with live_recorder(
        tmp_path, environ=server.environ, audio=audio, model=model, tracker={}
    ) as recorder:
        recorder.ready(60)
        assert server.play(Path(wav)).wait(60) == 0
        recorder.wait_for_audio()  # the last of the sound is older than the window that follows it
        recorder.stop()
        live = recorder.detections()
        assert recorder.total_s("lost", "dropped") < 0.5, recorder.log
    replayed = edge(
        "replay",
        wav,
        "--bundle",
        bundle,
        "--hop-s",
        str(hop_s),
        "--format",
        "jsonl",
        environ=server.environ,
    )
    assert replayed.returncode == 0, replayed.stderr
    filed = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert [event["label"] for event in filed] == [
        "low_hummer",
        None,
        "high_peeper",
        "mid_whistler",
    ]
    assert [event["label"] for event in live] == [event["label"] for event in filed]
    # The recorder had been listening for a while when the sound began; by how long, the unknown
    # tells, which has the times of its windows. Those of the others may be off by what they say.
    later_s = [
        ours["start_s"] - theirs["start_s"] for ours, theirs in zip(live, filed, strict=True)
    ]
    allowed_s = [
        hop_s + sum(event.get("start_uncertainty_s", 0.0) for event in pair)
        for pair in zip(live, filed, strict=True)
    ]
    assert (np.abs(np.subtract(later_s, later_s[1])) <= allowed_s).all(), (later_s, allowed_s)
