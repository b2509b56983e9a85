"""Signals at any moment: the one that reads the configuration again never ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("wait_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
def test_a_reload_while_it_starts_does_not_end_it(tmp_path: Path, wait_s: float) -> None:
    config = tmp_path / "edge.yaml"
    os.mkfifo(config)  # it waits here for its configuration, after all imports
    command = [sys.executable, "-m", "edge.cli", "run", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until_ours(process.pid)
        time.sleep(wait_s)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        config.write_text("modle: {}\n")
        assert process.stderr is not None
        assert "did you mean model?" in process.stderr.read()
    assert process.returncode > 0  # the configuration is at fault, and no signal


def until_ours(pid: int) -> None:
    """Wait until the first line of ours has run: SIGHUP is ignored."""
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        status = Path(f"/proc/{pid}/status").read_text()
        ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if (ignored | caught) & 1 << (signal.SIGHUP - 1):
            return
        time.sleep(0.001)
    raise AssertionError("SIGHUP ends it all the time")


def test_nothing_heavy_is_imported_before_it(tmp_path: Path) -> None:
    """What is imported first takes the time in which the signal still ends the process."""
    text = (ROOT / "edge" / "cli.py").read_text(encoding="utf-8")
    before = text.partition("signal.signal(signal.SIGHUP")[0]
    imports = [line for line in before.splitlines() if line.startswith(("import", "from"))]
    assert imports == ["from __future__ import annotations", "import signal", "import sys"]
