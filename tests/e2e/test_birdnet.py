"""A recorder with BirdNET hears on a sound server what a replay of the same sound names."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from deploy.importing.birdnet import import_birdnet, installed_birdnet
from edge.types import Array
from tests.support.live import edge, live_recorder
from tests.support.soundserver import DEVICE, RATE_HZ, SoundServer

pytestmark = [pytest.mark.birdnet, pytest.mark.audio, pytest.mark.data]

SPECIES = ("great_tit", "common_kestrel")
PLACE = {"latitude": 47.8, "longitude": 16.3}


def dawn(folder: Path) -> Array:
    """Return some seconds of each species, with hiss between them."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in SPECIES]
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(5 * RATE_HZ)
    parts = [hiss]
    for species in SPECIES:
        path = folder / next(row["path"] for row in rows if row["label"] == species)
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)[: 6 * RATE_HZ]
        parts += [mono * (0.5 / np.abs(mono).max()), hiss]
    return np.concatenate(parts).astype(np.float32)


def test_a_recorder_names_what_a_replay_names(
    server: SoundServer, recordings: Path, tmp_path: Path
) -> None:
    bundle = import_birdnet(installed_birdnet(), tmp_path / "birdnet").path
    # Of now, as what is heard live: species have their weeks.
    wav = tmp_path / f"{datetime.now(timezone.utc):%Y%m%d_%H%M%S}.wav"
    soundfile.write(wav, dawn(recordings), RATE_HZ, subtype="PCM_16")
    audio = {"device": DEVICE, "channel": 1, "rate_hz": RATE_HZ}
    model = {"bundle": str(bundle), "hop_s": 0.5}
    with live_recorder(
        tmp_path,
        environ=server.environ,
        audio=audio,
        model=model,
        site=PLACE,
        events={"unknown": False},
        tracker={},
    ) as recorder:
        recorder.ready(60)
        assert server.play(wav).wait(120) == 0
        recorder.wait_for_audio()
        recorder.stop()
        live = recorder.detections()
        assert recorder.total_s("lost", "dropped") < 0.5, recorder.log
    place = ("--lat", "47.8", "--lon", "16.3", "--hop-s", "0.5")
    options = ("--bundle", str(bundle), *place, "--format", "jsonl")
    replayed = edge("replay", str(wav), *options, environ=server.environ)
    assert replayed.returncode == 0, replayed.stderr
    filed = [json.loads(line) for line in replayed.stdout.splitlines()]
    # The two cut their windows at other samples: what is sure in one is there in the other.
    for ours, theirs in ((live, filed), (filed, live)):
        sure = Counter(event["label"] for event in ours if event["label"] and event["score"] > 0.7)
        assert sure
        assert not sure - Counter(event["label"] for event in theirs)
    assert {"great_tit", "eurasian_kestrel"} <= {event["label"] for event in live}
    assert {event["kind"] for event in live} == {"animal"}
