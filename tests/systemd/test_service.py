"""The service as systemd itself sees it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.systemd


@pytest.fixture
def unit(root: Path, tmp_path: Path) -> Path:
    """The unit with programs that are there: verify looks for them."""
    text = (root / "systemd" / "edge.service").read_text(encoding="utf-8")
    copy = tmp_path / "edge.service"
    copy.write_text(
        re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8"
    )
    return copy


def test_verify_finds_nothing(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_hardened(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"exposure level for edge\.service: ([\d.]+)", done.stdout)
    assert match is not None, done.stderr
    assert float(match[1]) <= 1.5


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=always",
        "DynamicUser=yes",
        "SupplementaryGroups=audio",
        "TimeoutStartSec=infinity",
        "StartLimitIntervalSec=0",
        "StateDirectoryMode=0700",
        "LimitCORE=0",
    ],
)
def test_it_comes_back_whatever_happens(root: Path, line: str) -> None:
    assert line in (root / "systemd" / "edge.service").read_text(encoding="utf-8").splitlines()
