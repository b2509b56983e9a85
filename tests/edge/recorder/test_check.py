"""`edge check`: every fault at once, nothing secret, and a plain word where all is well."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from edge.cli import main
from edge.errors import AudioError
from edge.recorder.check import Finding, check
from edge.sources.audioconfig import AudioConfig
from edge.sources.device import Device
from tests.support.broker import Broker, free_port
from tests.support.bundles import tiny_bundle
from tests.support.disk import fill, small_disk
from tests.support.microphones import FakeAudio, FakeTimer
from tests.support.nvidia import Nvidia, on_a_machine

SUBJECTS = ("configuration", "audio", "model", "disk", "store", "metrics")
Change = dict[str, Any]


def all_findings(tmp_path: Path, change: Change, *, present: bool = True) -> list[Finding]:
    values: dict[str, Any] = {
        "device": {"id": "ridge-7"},
        "model": {"bundle": str(tiny_bundle(tmp_path / "bundle").path)},
        "store": {
            "path": str(tmp_path / "edge.db"),
            "outbox_mb": 1,
            "history_mb": 1,
            "ballast_mb": 1,
        },
        "clips": {"folder": str(tmp_path / "clips"), "budget_mb": 1, "reserve_mb": 1},
        "mqtt": {"enabled": False},
        "metrics": {"port": free_port()},
    }
    for section, keys in change.items():
        values[section] = {**values.get(section, {}), **keys} if isinstance(keys, dict) else keys
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    audio.present = present
    return list(check(file, audio=audio))


def at_rate(tmp_path: Path, rate_hz: int, *, channels: int = 1, present: bool = True) -> Finding:
    """Return what is found of the sound, with the configuration that was written last."""
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=rate_hz, channels=channels)
    audio.present = present
    *_, found = (f for f in check(tmp_path / "edge.yaml", audio=audio) if f.subject == "audio")
    return found


def findings(tmp_path: Path, change: Change, *, present: bool = True) -> dict[str, str | None]:
    """Return the faults by subject, None where there is none."""
    return {
        finding.subject: finding.text or None
        for finding in all_findings(tmp_path, change, present=present)
    }


def test_a_sound_recorder_has_no_fault(tmp_path: Path) -> None:
    assert findings(tmp_path, {}) == dict.fromkeys(SUBJECTS)


def test_what_runs_the_network_is_shown_and_why_nothing_better_does(tmp_path: Path) -> None:
    with on_a_machine(Nvidia()):
        (model,) = [
            f.detail
            for f in all_findings(tmp_path, {"model": {"engines": str(tmp_path)}})
            if f.subject == "model"
        ]
        found = findings(tmp_path, {"model": {"backend": "tensorrt", "engines": str(tmp_path)}})
    assert "run by onnxruntime-cpu/fp32 (not by tensorrt: " in model
    assert "run `edge-deploy compile`" in model
    assert (found["model"] or "").startswith(
        "model.backend = tensorrt: cannot run here: tensorrt: "
    )


def test_heads_may_be_sent_only_where_somebody_is_trusted(tmp_path: Path) -> None:
    found = findings(tmp_path, {"heads": {"broker": True}})
    assert "nobody's are trusted" in str(found["heads"])
    trusted = {"trusted_keys": [base64.b64encode(bytes(32)).decode()]}
    heads = {"broker": True, "folder": str(tmp_path / "stick")}
    (told,) = [
        finding.detail
        for finding in all_findings(tmp_path, {"heads": heads, "model": trusted})
        if finding.subject == "heads"
    ]
    assert told == f"may come from the broker, {tmp_path}/stick, signed with one of 1 keys"


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    found = findings(
        tmp_path,
        {
            "audio": {"device": "Ultrasonic"},
            "model": {"bundle": str(tmp_path / "none")},
            "store": {"path": str(tmp_path / "nowhere" / "edge.db")},
            "mqtt": {"enabled": True, "host": "127.0.0.1", "port": free_port()},
        },
    )
    assert found.pop("configuration") is None
    assert "no audio input is called 'Ultrasonic'" in str(found.pop("audio"))
    assert "it has no manifest.json" in str(found.pop("model"))
    assert "does not exist" in str(found.pop("disk"))
    assert "127.0.0.1" in str(found.pop("broker"))
    assert found == {"metrics": None}


def test_each_fault_has_its_key_value_reason_and_a_suggestion(tmp_path: Path) -> None:
    port = free_port()
    broken = {
        "audio": {"device": "Ultrasonic"},
        "model": {"bundle": str(tmp_path / "none")},
        "store": {"path": str(tmp_path / "nowhere" / "edge.db")},
        "mqtt": {"enabled": True, "host": "127.0.0.1", "port": port},
    }
    named = {
        "audio": "audio.device = Ultrasonic: no audio input is called 'Ultrasonic' (there are: ",
        "model": f"model.bundle = {tmp_path}/none: ",
        "disk": (
            f"store.path = {tmp_path}/nowhere/edge.db: the folder {tmp_path}/nowhere does not "
            "exist (make it)"
        ),
        "broker": f"mqtt.host = 127.0.0.1:{port}: ",
    }
    found = findings(tmp_path, broken)
    for subject, begin in named.items():
        fault = str(found[subject])
        assert fault.startswith(begin)
        assert fault.endswith(")")
        assert "\n" not in fault


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"model": {"bundle": "backend models"}}, "model.bundle"),
        ({"model": {"bundle": "hop: what"}}, "model.bundle"),
        ({"model": {"bundle": "device.id"}}, "model.bundle"),
        ({"model": {"bundle": None, "bundles": ["site.species", "device.id"]}}, "model.bundles"),
        ({"model": {"hop_s": 7.0}}, "model.hop_s"),
        ({"model": {"backend": "cuda"}}, "model.backend"),
        ({"site": {"species": ["model.backend"]}}, "site.species"),
        ({"audio": {"device": "null"}}, "audio.device"),
        ({"audio": {"channel": 9}}, "audio.channel"),
    ],
)
def test_the_key_of_a_fault_is_a_field_whatever_its_text_says(
    tmp_path: Path, change: Change, key: str
) -> None:
    (fault,) = [f.fault for f in all_findings(tmp_path, change) if f.fault is not None]
    assert fault.key == key
    assert fault.reason
    assert fault.suggestion


class WithoutPyAudio(FakeAudio):
    def devices(self) -> list[Device]:
        raise AudioError(
            "PyAudio cannot be used (No module named 'pyaudio')", suggestion="install it"
        )


def test_a_missing_library_is_not_a_device_that_is_not_plugged_in(tmp_path: Path) -> None:
    all_findings(tmp_path, {})  # writes the file
    audio = WithoutPyAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    found = {f.subject: f for f in check(tmp_path / "edge.yaml", audio=audio)}
    fault = found["audio"].fault
    assert fault is not None
    assert (fault.key, fault.suggestion) == ("", "install it")
    assert "plugged" not in found["audio"].text


@pytest.mark.broker
def test_a_broker_that_refuses_is_not_one_that_is_away(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", "allow_anonymous false") as broker:
        mqtt = {"enabled": True, "host": "127.0.0.1", "port": broker.port}
        found = {f.subject: f for f in all_findings(tmp_path, {"mqtt": mqtt})}
    fault = found["broker"].fault
    assert fault is not None
    assert fault.key == "mqtt.username_file"
    assert "running" not in fault.suggestion


def test_programs_read_fields(tmp_path: Path) -> None:
    """What `edge-deploy install` decides by."""
    all_findings(tmp_path, {"model": {"bundle": str(tmp_path / "none")}, "modle": {"hop_s": 1}})
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    command = ["check", "--json", "--config", str(tmp_path / "edge.yaml")]
    result = CliRunner().invoke(main, command, obj=audio)
    assert result.exit_code == 1
    found = {line["subject"]: line for line in map(json.loads, result.output.splitlines())}
    assert found["configuration"]["fault"] == {
        "key": "modle",
        "value": "",
        "reason": "unknown key",
        "suggestion": "did you mean model?",
    }
    assert found["configuration"]["text"] == "modle: unknown key (did you mean model?)"
    assert found["model"]["fault"]["key"] == "model.bundle"
    assert found["disk"]["fault"] is None
    assert found["disk"]["text"] == ""
    assert "MB free" in found["disk"]["detail"]


def test_faults_of_the_configuration_do_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    """Only what a faulty section would have configured is left out."""
    change: Change = {
        "modle": {"hop_s": 1},
        "tracker": {"cooldown_s": -1, "longest": 3},
        "audio": {"device": "Ultrasonic"},
        "store": {"path": str(tmp_path / "nowhere" / "edge.db")},
        "mqtt": {"enabled": True, "tls": True, "ca_file": str(tmp_path / "none.pem")},
    }
    looked_at = [(finding.subject, finding.text) for finding in all_findings(tmp_path, change)]
    assert [subject for subject, _ in looked_at] == [
        *["configuration"] * 4,
        "audio",
        "disk",
        "metrics",
    ]
    texts = "\n".join(fault for _, fault in looked_at)
    for part in (
        "modle",
        "did you mean model?",
        "tracker.cooldown_s = -1",
        "tracker.longest_s?",
        "mqtt.ca_file",
        "Ultrasonic",
        "nowhere",
    ):
        assert part in texts


def test_what_is_no_configuration_is_told_alone(tmp_path: Path) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text("device: [\n")
    (finding,) = check(
        file, audio=FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    )
    assert "is not YAML" in finding.text


def test_the_command_says_all_of_it_and_nothing_secret(tmp_path: Path) -> None:
    """Without a sound card `audio` is a fault of this machine; the rest is what the file says."""
    (tmp_path / "user").write_text("recorder")
    (tmp_path / "password").write_text("hunter2")
    secrets = {"username_file": str(tmp_path / "user"), "password_file": str(tmp_path / "password")}
    change = {
        "mqtt": {"enabled": True, "host": "127.0.0.1", "port": free_port(), **secrets},
        "password": "hunter3",
    }
    all_findings(tmp_path, change)  # writes the file
    result = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "edge.yaml")])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert all(line.startswith(("ok     ", "FAULT  ")) for line in lines)
    assert [line.split()[1] for line in lines] == [
        "configuration:",
        "audio:",
        "model:",
        "disk:",
        "store:",
        "metrics:",
        "broker:",
    ]
    assert "password: unknown key" in lines[0]
    assert "hunter" not in result.output


def test_the_command_ends_with_0_when_all_is_well(tmp_path: Path) -> None:
    all_findings(tmp_path, {})
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    result = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "edge.yaml")], obj=audio)
    assert result.exit_code == 0, result.output
    assert [line.split()[:2] for line in result.output.splitlines()] == [
        ["ok", f"{s}:"] for s in SUBJECTS
    ]


@pytest.mark.mount
def test_a_disk_is_tried_by_writing_and_must_hold_what_may_come(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=8) as disk:
        store, clips = {"path": str(disk / "edge.db")}, {"folder": str(disk / "deep" / "clips")}
        assert findings(tmp_path, {"store": store, "clips": clips})["disk"] is None
        # Each fits for itself.
        fault = str(
            findings(
                tmp_path, {"store": {**store, "history_mb": 3}, "clips": {**clips, "budget_mb": 3}}
            )["disk"]
        )
        assert fault.startswith(
            f"store.path and clips.folder = {disk}: 8 MB are free, and 9 MB may be needed (free "
            "some"
        )
        # What is there already may stay.
        (disk / "deep" / "clips" / "peeper").mkdir(parents=True)
        (disk / "deep" / "clips" / "peeper" / "one.wav").write_bytes(bytes(2_000_000))
        assert (
            findings(tmp_path, {"store": store, "clips": {**clips, "budget_mb": 3}})["disk"] is None
        )
        fill(disk)
        assert "cannot be written to: No space left" in str(
            findings(tmp_path, {"store": store})["disk"]
        )
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "cannot be written to: Read-only file system" in str(
            findings(tmp_path, {"clips": clips})["disk"]
        )


@pytest.mark.parametrize("rate_hz", [8000, 48_000, 192_000, 384_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_the_default_fits_into_the_memory_at_any_rate(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    all_findings(tmp_path, {})
    found = at_rate(tmp_path, rate_hz, channels=channels)
    assert found.fault is None
    # 60 s that wait and 71 s for clips: an event of 60 s, padding, cool-down and four windows.
    assert f"; {rate_hz * (60 * 4 + 71 * 2) / 1e6:.0f} of 176 MB" in found.detail


@pytest.mark.parametrize(
    ("change", "key", "suggestion"),
    [
        ({"audio": {"buffer_s": 3600}}, "audio.buffer_s", "at most 881, or more audio.memory_mb"),
        ({"audio": {"memory_mb": 16}}, "audio.buffer_s", "at most 47, or more audio.memory_mb"),
        ({"tracker": {"longest_s": 7200.0}}, "tracker.longest_s", "shorter events, or more audio"),
    ],
)
def test_more_sound_than_the_memory_holds_is_a_fault(
    tmp_path: Path, change: Change, key: str, suggestion: str
) -> None:
    all_findings(tmp_path, change)
    faults = [at_rate(tmp_path, 48_000, present=present).fault for present in (True, False)]
    for fault in faults:  # of a device that is not there, at the usual rate
        assert fault is not None
        assert fault.key == key
        assert fault.suggestion.startswith(suggestion)


@pytest.mark.parametrize(("memory_mb", "longest_s"), [(176.0, 881.0), (16.0, 47.0)])
def test_the_buffer_that_is_suggested_fits(
    tmp_path: Path, memory_mb: float, longest_s: float
) -> None:
    all_findings(tmp_path, {"audio": {"buffer_s": longest_s, "memory_mb": memory_mb}})
    assert at_rate(tmp_path, 48_000).fault is None
    all_findings(tmp_path, {"audio": {"buffer_s": longest_s + 1, "memory_mb": memory_mb}})
    assert at_rate(tmp_path, 48_000).fault is not None


def test_the_rate_of_the_device_that_is_there_counts(tmp_path: Path) -> None:
    all_findings(tmp_path, {"audio": {"buffer_s": 3600.0}})
    assert at_rate(tmp_path, 8000).fault is None  # at a usual rate it would not fit


def test_sound_for_clips_counts_only_where_there_are_clips(tmp_path: Path) -> None:
    all_findings(tmp_path, {"tracker": {"longest_s": 7200.0}, "clips": {"enabled": False}})
    assert at_rate(tmp_path, 48_000).fault is None


def test_the_service_may_use_what_the_program_and_its_sound_take(root: Path) -> None:
    """The unit's own bounds: the program without sound takes 190 MB, a clip being written 50."""
    unit = (root / "systemd" / "edge.service").read_text(encoding="utf-8")
    (high,) = re.findall(r"^MemoryHigh=(\d+)M$", unit, re.MULTILINE)
    assert AudioConfig().memory_mb * 1e6 + 240e6 < int(high) * 2**20


def test_keys_and_devices_that_cannot_be_are_named(tmp_path: Path) -> None:
    assert "hop_s" in str(findings(tmp_path, {"model": {"hop": 1}})["configuration"])
    assert "no audio input on this machine" in str(findings(tmp_path, {}, present=False)["audio"])
    assert "audio.channel = 3" in str(findings(tmp_path, {"audio": {"channel": 3}})["audio"])


def test_a_full_disk_is_seen_before_it_costs_detections(tmp_path: Path) -> None:
    assert "MB are free" in str(findings(tmp_path, {"clips": {"reserve_mb": 10_000_000}})["disk"])
