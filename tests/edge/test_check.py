"""`edge check`: every fault at once, nothing secret, and a plain word where all is well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from edge.check import check
from tests.support.broker import free_port
from tests.support.bundles import tiny_bundle
from tests.support.microphones import FakeAudio, FakeTimer


def findings(tmp_path: Path, change: dict[str, dict[str, object]], *, present: bool = True) -> dict[str, str | None]:
    values: dict[str, dict[str, object]] = {
        "device": {"id": "ridge-7"},
        "model": {"bundle": str(tiny_bundle(tmp_path / "bundle").path)},
        "store": {"path": str(tmp_path / "edge.db")},
        "clips": {"reserve_mb": 1},
        "mqtt": {"enabled": False},
    }
    for section, keys in change.items():
        values.setdefault(section, {}).update(keys)
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    audio.present = present
    return {finding.subject: finding.fault for finding in check(file, audio=audio)}


def test_a_sound_recorder_has_no_fault(tmp_path: Path) -> None:
    assert findings(tmp_path, {}) == {"configuration": None, "audio": None, "model": None, "disk": None}


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
    assert not found


def test_keys_and_devices_that_cannot_be_are_named(tmp_path: Path) -> None:
    assert "hop_s" in str(findings(tmp_path, {"model": {"hop": 1}})["configuration"])
    assert "no audio input on this machine" in str(findings(tmp_path, {}, present=False)["audio"])
    assert "audio.channel = 3" in str(findings(tmp_path, {"audio": {"channel": 3}})["audio"])


def test_a_full_disk_is_seen_before_it_costs_detections(tmp_path: Path) -> None:
    assert "MB are free" in str(findings(tmp_path, {"clips": {"reserve_mb": 10_000_000}})["disk"])
