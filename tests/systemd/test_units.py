"""The unit that builds engines, and the drop-in of a Jetson, as systemd itself sees them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.systemd

UNITS = ("edge.service", "edge-compile.service", "edge-page.service", "edge-notify.service")


@pytest.fixture
def units(root: Path, tmp_path: Path) -> Path:
    """Both units and the drop-in, with programs that are there: verify looks for them."""
    for name in UNITS:
        text = (root / "systemd" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(
            re.sub(r"^ExecStart=(-?)\S+", r"ExecStart=\1/bin/true", text, flags=re.MULTILINE),
            encoding="utf-8",
        )
    (tmp_path / "edge.service.d").mkdir()
    (tmp_path / "edge.service.d/gpu.conf").write_bytes(
        (root / "systemd/edge-gpu.conf").read_bytes()
    )
    return tmp_path


@pytest.mark.parametrize("unit", UNITS)
def test_verify_finds_nothing(units: Path, unit: str) -> None:
    command, environ = (
        ["systemd-analyze", "verify", unit],
        {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", ["edge-compile", "edge-page", "edge-notify"])
def test_the_others_are_hardened(units: Path, unit: str) -> None:
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        str(units / f"{unit}.service"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(rf"exposure level for {unit}\.service: ([\d.]+)", done.stdout)
    assert match is not None, done.stderr
    assert float(match[1]) <= 1.5


def test_both_are_one_user_who_shares_one_cache(root: Path) -> None:
    """Two dynamic users would take the folder from each other at each start."""
    recorder, builder = (
        (root / "systemd" / name).read_text(encoding="utf-8").splitlines()
        for name in ("edge.service", "edge-compile.service")
    )
    # so it is named after the unit: edge
    assert not [line for line in recorder if line.startswith("User=")]
    assert {"User=edge", "DynamicUser=yes", "CacheDirectory=edge-monitor"} <= set(builder)
    assert {"DynamicUser=yes", "CacheDirectory=edge-monitor"} <= set(recorder)


@pytest.mark.parametrize(("unit", "own"), [("edge-page", "labels"), ("edge-notify", "notify")])
def test_those_who_read_are_of_the_same_user_and_write_only_what_is_theirs(
    root: Path, unit: str, own: str
) -> None:
    lines = (root / f"systemd/{unit}.service").read_text(encoding="utf-8").splitlines()
    state = "/var/lib/private/edge-monitor"
    assert {"User=edge", "DynamicUser=yes", "StateDirectoryMode=0700"} <= set(lines)
    assert {f"ReadOnlyPaths={state}", f"ReadWritePaths={state}/{own}"} <= set(lines)
    assert any(line.startswith("MemoryMax=") for line in lines)


def test_nothing_needs_the_builder(root: Path) -> None:
    lines = [line for name in UNITS for line in (root / "systemd" / name).read_text().splitlines()]
    assert not [
        line
        for line in lines
        if line.startswith(("Requires=", "RequiredBy=", "BindsTo=", "Requisite="))
    ]
