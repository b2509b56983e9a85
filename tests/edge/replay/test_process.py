"""What only a process of its own can show: memory, start-up, pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import soundfile

from edge.bundle import Bundle, FrontendSpec
from tests.support.bundles import SPEC, tiny_bundle, tone

ROOT = Path(__file__).resolve().parents[3]
MAIN = "import sys; from edge.cli import main; sys.argv[0] = 'edge'"
# An entry None in sys.modules would do, did scipy not look there for torch itself.
WITHOUT = """
import importlib.abc
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "matplotlib"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
main()
"""


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_two_hours_need_less_than_300_mib(tmp_path: Path) -> None:
    spec = FrontendSpec(
        sample_rate_hz=4000,
        window_s=5.0,
        n_fft=256,
        hop_length=256,
        n_mels=12,
        fmax_hz=2000.0,
        channels=SPEC.channels,
    )
    long_windows = tiny_bundle(tmp_path / "bundle", spec=spec)
    file = tmp_path / "20240501_000000.wav"
    with soundfile.SoundFile(file, "w", samplerate=8_000, channels=1, subtype="PCM_U8") as out:
        minute = tone(300, 60, 8_000)
        for _ in range(120):
            out.write(minute)
    measured = python(
        (
            f"{MAIN}; main(standalone_mode=False); from edge.bench.measuring import peak_rss_mib; "
            "print(peak_rss_mib())"
        ),
        *(
            "replay",
            str(file),
            "--bundle",
            str(long_windows.path),
            "--hop-s",
            "5",
            "--format",
            "windows",
        ),
    )
    assert measured.returncode == 0, measured.stderr
    *windows, peak_mib = measured.stdout.splitlines()
    assert len(windows) == 7200 / 5
    assert float(peak_mib) < 300


def test_the_command_line_starts_without_heavy_modules() -> None:
    loaded = python(f"{MAIN}; print(*sorted(sys.modules))").stdout.split()
    assert "click" in loaded
    assert not {"numpy", "scipy", "librosa", "onnxruntime", "rich", "matplotlib"} & set(loaded)


def test_replay_needs_neither_torch_nor_matplotlib(bundle: Bundle, recording: str) -> None:
    done = python(MAIN + WITHOUT, "replay", recording, "--bundle", str(bundle.path))
    assert done.returncode == 0
    (remark,) = done.stderr.splitlines()
    assert remark == f"warning: {recording}: 2.0 s of 19.3 s were not judged: nothing but silence"
    assert "High Peeper" in done.stdout


def test_without_matplotlib_the_plot_says_what_to_install(
    bundle: Bundle, recording: str, tmp_path: Path
) -> None:
    done = python(
        MAIN + WITHOUT,
        "replay",
        recording,
        "--bundle",
        str(bundle.path),
        "--plot",
        str(tmp_path / "a.png"),
    )
    assert done.returncode == 2
    advice = f"{sys.executable} -m pip install -e '{ROOT}[plot]'"
    assert done.stderr == f"error: --plot = {tmp_path}/a.png: needs matplotlib ({advice})\n"


def test_a_replay_that_is_stopped_leaves_nothing_behind(
    bundle: Bundle, recording: str, tmp_path: Path
) -> None:
    results, spools = tmp_path / "results", tmp_path / "spools"
    results.mkdir()
    spools.mkdir()
    # A hop so short that it is stopped long before its end.
    options = (
        "--bundle",
        str(bundle.path),
        "--format",
        "windows",
        "--hop-s",
        "0.0002",
        "--out",
        str(results / "out.jsonl"),
    )
    command = [sys.executable, "-m", "edge.cli", "replay", recording, *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(spools)})
    while process.poll() is None and not any(f.stat().st_size for f in spools.glob("*/*")):
        time.sleep(0.05)
    assert list(results.iterdir()), "it writes beside the place of its output"
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not list(results.iterdir())
    assert not list(spools.iterdir())


def test_a_reader_that_leaves_early_is_no_traceback(bundle: Bundle, recording: str) -> None:
    command = (
        f'"{sys.executable}" -m edge.cli replay "{recording}" --bundle "{bundle.path}" '
        "--format windows | true"
    )
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
