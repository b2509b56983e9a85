"""Everything that takes a bundle takes one of a waveform."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from deploy.cli import main as deploy_main
from edge.bundle import Bundle
from edge.cli import main
from edge.config.config import load_config
from edge.detect.engines import load_model
from edge.recorder.daemon import Daemon
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.edge.recorder.test_daemon import rows, states
from tests.support.audio import noise, write_audio
from tests.support.bundles import tone
from tests.support.classifiers import waveform_bundle
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.nvidia import Nvidia, for_children, on_a_machine
from train.commands.cli import main as train_main

SOUND = np.concatenate([tone(300, 2), noise(2), tone(3000, 3), noise(2)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return waveform_bundle(tmp_path_factory.mktemp("waveform") / "three_tones")


def test_a_replay_names_the_tones_and_ends_with_the_licence(bundle: Bundle, tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "20240501_053000.wav", SOUND)
    options = ["replay", "--bundle", str(bundle.path), "--format", "jsonl", recording]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [d["label"] for d in found if d["label"]] == ["low_hummer", "high_peeper"]
    assert any(d["label"] is None for d in found), "noise is none of them"
    assert result.stderr.splitlines()[-1] == "three_tones: licence only for tests"


@pytest.mark.parametrize("block_s", [0.01, 0.5, 3.0])
def test_a_replay_is_the_same_for_any_block(bundle: Bundle, tmp_path: Path, block_s: float) -> None:
    recording = write_audio(tmp_path / "20240501_053000.wav", SOUND)

    def found(block_s: float) -> object:
        settings = ReplaySettings(bundle=bundle.path, hop_s=0.5, block_s=block_s)
        return Replayer(settings).replay(recording).detections

    assert found(block_s) == found(1.0) != ()


def test_run_and_replay_agree(bundle: Bundle, tmp_path: Path) -> None:
    model = {"bundle": str(bundle.path), "hop_s": 0.5}
    daemon = Daemon(
        write_config(tmp_path, bundle.path, model=model),
        audio=RealTimeAudio(SOUND),
        deliveries=lambda *parts: [],
    )
    with running(daemon):
        until(lambda: ("high_peeper", "end") in states(tmp_path))
    ((start, score), *_) = rows(
        tmp_path,
        "SELECT json_extract(payload, '$.start_sample'), json_extract(payload, '$.score') FROM "
        "detections WHERE state = 'end' AND json_extract(payload, '$.label') = 'high_peeper'",
    )
    file = write_audio(tmp_path / "played.wav", np.concatenate([SOUND, SOUND]), subtype="FLOAT")
    settings = ReplaySettings(
        bundle=bundle.path, hop_s=0.5, tracker=load_config(tmp_path / "edge.yaml").tracker
    )
    found = Replayer(settings).replay(file).detections
    first = next(d for d in found if d.label == "high_peeper")
    assert (start, score) == (first.start_sample, pytest.approx(first.score, abs=1e-4))


def test_it_says_what_it_is(bundle: Bundle) -> None:
    told = CliRunner().invoke(main, ["info", "--bundle", str(bundle.path)]).stdout
    assert "frontend   1 s at 8000 Hz, the waveform: 8000 samples\n" in told
    assert "licence    only for tests\n" in told
    checked = CliRunner().invoke(deploy_main, ["verify", str(bundle.path)])
    assert checked.exit_code == 0
    assert "1 s at 8000 Hz, the waveform: 8000 samples\n" in checked.stdout


def test_an_engine_is_compiled_for_its_windows(
    bundle: Bundle, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Nvidia()
    for name, value in for_children(machine, root).items():
        monkeypatch.setenv(name, value)
    with on_a_machine(machine):
        options = ["compile", str(bundle.path), "--engines", str(tmp_path / "engines")]
        result = CliRunner().invoke(deploy_main, options)
        assert result.exit_code == 0, result.output
        assert load_model(bundle, folder=tmp_path / "engines").engine.backend == "tensorrt"
    assert "features:1x1x1x8000" in result.stderr


def test_it_is_judged_on_recordings_of_anybody(bundle: Bundle, tmp_path: Path) -> None:
    breath = noise(1, level=1e-4)
    lines = ["path,role,label,common_name,scientific_name"]
    for i, hz in enumerate((300.0, 1000.0, 3000.0)):
        species = bundle.labels[i]
        write_audio(tmp_path / f"{i}.wav", np.concatenate([breath, tone(hz, 3)]))
        lines.append(f"{i}.wav,known,x{i},,{species.scientific_name}")
    write_audio(tmp_path / "hiss.wav", noise(3))
    lines.append("hiss.wav,noise,hiss,,")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    places = ["--bundle", str(bundle.path), "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    options = ["--species", "data", "--hop-s", "0.5", "--resamples", "10", "--workers", "1"]
    result = CliRunner().invoke(train_main, ["evaluate", *places, *options])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["counted"]["quiet windows"]["windows"] > 0, "activity is measured"
    assert report["recordings"]["closed"]["macro_f1"]["value"] == 1
    assert report["recordings"]["accepted"]["noise: hiss"]["value"] == 0
