"""A recorder on a sound server: nobody who speaks to it is in a clip on its disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.types import Array
from tests.support.audio import write_audio
from tests.support.bundles import LABELS, tiny_bundle, tone
from tests.support.live import edge, live_recorder
from tests.support.soundserver import DEVICE, RATE_HZ, SoundServer

pytestmark = pytest.mark.audio

HUM_HZ, WHISTLE_HZ = 300, 1000
PARTS = (
    (0, 3, 0.0),
    (WHISTLE_HZ, 3, 0.3),
    (0, 5, 0.0),
    (WHISTLE_HZ, 2, 0.3),
    (HUM_HZ, 2, 0.3),
    (0, 4, 0.0),
)
# A window with the mere edge of a whistle in it has all frequencies: for this bundle a hum by 0.55.
THRESHOLD = 0.6
# What of a clip's power may be at the hum of people: that of a whistle's edge.
MOST_SHARE = 1e-3


def sound() -> Array:
    """Return whistles, with silence between them, the second of which people follow."""
    parts = [tone(hz, seconds, RATE_HZ, level=level) for hz, seconds, level in PARTS]
    return np.concatenate(parts).astype(np.float32)


def hum_share(file: Path) -> float:
    """Return which share of a clip's power is at the hum, in its loudest half second of that."""
    samples, rate_hz = soundfile.read(file)
    length = rate_hz // 2
    shares = [0.0]
    for start in range(0, len(samples) - length + 1, length // 4):
        power = np.abs(np.fft.rfft(samples[start : start + length] * np.hanning(length))) ** 2
        at = HUM_HZ * length // rate_hz
        shares.append(float(power[at - 3 : at + 4].sum() / max(power.sum(), 1e-9)))
    return max(shares)


@pytest.mark.parametrize("speech", ["drop_clip", "drop_window"])
def test_no_clip_on_the_disk_has_people_in_it(
    server: SoundServer, tmp_path: Path, speech: str
) -> None:
    people = (dataclasses.replace(LABELS[0], kind="human"), *LABELS[1:])
    tiny_bundle(tmp_path / "bundle", labels=people)
    wav = Path(write_audio(tmp_path / "talk.wav", sound(), RATE_HZ))
    audio = {"device": DEVICE, "channel": 1, "rate_hz": RATE_HZ}
    with live_recorder(
        tmp_path,
        environ=server.environ,
        audio=audio,
        privacy={"speech": speech, "threshold": THRESHOLD},
        events={"unknown": False, "kinds": ["animal", "human"]},
        tracker={"cooldown_s": 1.0, "longest_s": 10.0, "update_s": 10.0},
    ) as recorder:
        checked = edge("check", "--config", str(tmp_path / "edge.yaml"), environ=server.environ)
        recorder.ready(60)
        assert server.play(wav).wait(60) == 0
        recorder.wait_for_audio()
        recorder.stop()
        ends = recorder.detections()
        assert recorder.total_s("lost", "dropped") < 0.5, recorder.log
        private_s = recorder.total_s("private")
        lengths_s = [
            (row["end_sample"] - row["start_sample"]) / row["sample_rate_hz"]
            for row in recorder.ledger()
        ]
        assert recorder.total_s() == pytest.approx(sum(lengths_s), abs=1e-3)
    assert f"low_hummer, from a score of {THRESHOLD}" in checked.stdout
    shares = {
        event["clip"]: hum_share(tmp_path / "clips" / event["clip"])
        for event in ends
        if event["clip"]
    }
    assert len(shares) == len(list((tmp_path / "clips").glob("*/*")))
    labels = [event["label"] for event in ends]
    withheld = [event["label"] for event in ends if "clip_withheld" in event]
    assert withheld == labels[1:]
    if speech == "drop_clip":
        assert labels == ["mid_whistler", "mid_whistler", "low_hummer"]
        assert private_s == 0.0
    else:
        assert labels == ["mid_whistler", "mid_whistler"]
        assert 1.0 < private_s < 4.0
    assert ends[0]["clip"] in shares
    assert max(shares.values()) < MOST_SHARE < hum_share(wav)
