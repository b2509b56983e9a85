"""The service of a recorder: its units, and systemd starting them now and at each boot."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.install.layout import Layout, shipped
from deploy.install.steps import Step, Undo, text_file

__all__ = ["OFF", "UNITS", "start_steps", "unit_steps"]

UNITS = ("edge.service", "edge-compile.service")
OFF = ("edge-page.service", "edge-notify.service")  # there for whoever enables it


def unit_steps(layout: Layout, *, gpu: bool) -> Iterator[Step]:
    """Write the units, and with `gpu` what lets the recorder use the GPU."""
    for unit in (*UNITS, *OFF):
        yield text_file(
            layout.units / unit,
            layout.placed(shipped(f"systemd/{unit}")),
            f"your own changes belong into {unit}.d/, this file is the program's",
        )
    if gpu:
        yield text_file(
            layout.units / "edge.service.d/gpu.conf",
            shipped("systemd/edge-gpu.conf"),
            "the recorder may use the GPU",
        )


def start_steps(layout: Layout) -> Iterator[Step]:
    """Have systemd start the units, now and at each boot, where this machine has one."""
    if not layout.live or shutil.which("systemctl") is None:
        return
    wanted = [
        layout.units / "multi-user.target.wants/edge.service",
        layout.units / "edge.service.wants/edge-compile.service",
    ]
    yield Step(
        what=f"systemctl enable {' '.join(UNITS)}",
        why="they start at each boot",
        done=lambda: all(path.is_symlink() for path in wanted),
        do=_enable,
    )
    if Path("/run/systemd/system").is_dir():
        yield Step(
            what="systemctl restart edge",
            why=(
                "what is installed now runs from here on; an engine is built first where there is "
                "a GPU"
            ),
            done=lambda: False,
            do=_restart,
            last=True,
        )


def _enable() -> Undo:
    _systemctl("enable", *UNITS)
    return lambda: _systemctl("disable", *UNITS)


def _restart() -> Undo:
    _systemctl("daemon-reload")
    # The service reports that it is ready when samples advance, perhaps days later: do not wait.
    _systemctl("restart", "--no-block", *UNITS)
    return lambda: None


def _systemctl(*arguments: str) -> None:
    subprocess.run(
        ["systemctl", *arguments],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
