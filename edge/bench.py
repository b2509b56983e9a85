"""How fast this machine is with a bundle: a whole replay, and front end and network apart.

It is a benchmark, never a test.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, Frontend, FrontendSpec, load_bundle
from edge.replay.replayer import Replayer, ReplaySettings
from edge.types import Array

__all__ = ["peak_rss_mib", "plain_librosa", "report", "synthesise"]

HOPS_S = (5.0, 1.0)
TO_COMPARE = "to compare it with librosa's, `pip install '.[bench]'` in a checkout"
PER_RUN = 10  # windows measured in one run


def report(bundle_path: Path, *, runs: int, minutes: float) -> Iterator[str]:
    """Yield lines to print as they are measured, with medians of `runs`."""
    yield from _machine()
    bundle = load_bundle(bundle_path)
    spec = bundle.frontend
    window = synthesise(spec.window_s, spec.sample_rate_hz)
    yield (
        f"bundle      {bundle.manifest.name} {bundle.digest[:16]}, {spec.window_s:g} s windows "
        f"at {spec.sample_rate_hz} Hz"
    )
    yield from _replays(bundle, minutes=minutes, runs=runs)
    # Before the path of librosa loads what a recorder never loads.
    yield f"memory      {peak_rss_mib():.0f} MiB at most"
    yield from _network(bundle, window, runs)
    yield from _front_end("front end", spec, window, runs)
    paper = FrontendSpec()
    yield from _front_end(
        "three parts", paper, synthesise(paper.window_s, paper.sample_rate_hz), runs
    )


def _machine() -> Iterator[str]:
    packages = ["numpy", "scipy", "onnxruntime", "soxr", "soundfile"]
    if _has_librosa():
        packages.append("librosa")
    yield f"machine     {_cpu_model()}, {platform.system()} {platform.machine()}"
    yield f"versions    Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in packages
    )
    yield "threads     1 for numpy, 1 for the network; times are CPU time of one core"


def _front_end(name: str, spec: FrontendSpec, window: Array, runs: int) -> Iterator[str]:
    """Yield the time of a front end, against librosa in the same run where it has one like it."""
    frontend = Frontend(spec)
    ours = _median_ms(lambda: frontend(window), runs)
    # librosa's documentation has nothing like these.
    if any(c.component == "linear" or c.n_fft for c in spec.channels):
        yield f"{name:11} {ours:.1f} ms a window"
        return
    if not _has_librosa():
        yield f"{name:11} {ours:.1f} ms a window; {TO_COMPARE}"
        return
    plain = _median_ms(lambda: plain_librosa(spec, window), runs, per_run=3)
    yield (
        f"{name:11} {ours:.1f} ms a window, librosa's plain path {plain:.1f} ms: "
        f"{plain / ours:.1f} times as fast"
    )


def _network(bundle: Bundle, window: Array, runs: int) -> Iterator[str]:
    """Yield the time at fp32, and that of each variant for ONNX Runtime against it."""
    features = bundle.new_frontend()(window)[np.newaxis]
    plain = _network_ms(bundle.model_path, features, runs)
    yield f"network     {plain:.1f} ms a window"
    for name, variant in bundle.manifest.variants.items():
        if "onnx" in variant.runs_on:
            other = _network_ms(bundle.networks[name].path, features, runs)
            yield f"{name:11} {other:.1f} ms a window: {plain / other:.2f} times as fast"


def _network_ms(path: Path, features: Array, runs: int) -> float:
    backend = OnnxBackend(path)
    return _median_ms(lambda: backend.infer(features), runs)


def _replays(bundle: Bundle, *, minutes: float, runs: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        file = str(Path(folder, "bench.wav"))
        _write_recording(file, minutes)
        for hop_s in (hop_s for hop_s in HOPS_S if hop_s <= bundle.frontend.window_s):
            replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=hop_s))
            seconds = statistics.median(
                _cpu_s(lambda r=replayer: r.replay(file))  # type: ignore[misc]
                for _ in range(max(1, runs // 2))
            )
            speed = minutes * 60 / seconds
            yield (
                f"replay      {hop_s:g} s hop: {speed:.0f} audio seconds per CPU second "
                f"({minutes:g} min in {seconds:.1f} s)"
            )


def _has_librosa() -> bool:
    """Return whether librosa is installed; a recorder does not need it."""
    return importlib.util.find_spec("librosa") is not None


def plain_librosa(spec: FrontendSpec, window: Array) -> Array:
    """Return features (channels, n_mels, frames) in dB as librosa's documentation makes them."""
    import librosa

    stft = np.abs(
        librosa.stft(
            window,
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            window=spec.window_function,
            pad_mode="constant",
        )
    )
    parts = {"mel": stft}
    # Only where needed, or the comparison would flatter this program.
    if any(c.component in ("harmonic", "percussive") for c in spec.channels):
        parts["harmonic"], parts["percussive"] = librosa.decompose.hpss(
            stft, kernel_size=spec.hpss_kernel, power=spec.hpss_power
        )
    basis = librosa.filters.mel(
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
    )
    levels: Array = np.stack(
        [librosa.power_to_db(basis @ parts[c.component] ** 2, top_db=None) for c in spec.channels]
    )
    return levels


def synthesise(seconds: float, rate_hz: int) -> Array:
    """Return noise with a chirp once a second, (n,) float32: nothing that a front end can skip."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    chirp = 0.2 * np.sin(2 * np.pi * (2000 + 500 * (t % 1)) * t) * (t % 1 < 0.3)
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(t))
    samples: Array = (chirp + noise).astype(np.float32)
    return samples


def _write_recording(file: str, minutes: float) -> None:
    """Write a recording at 48 kHz, as most recorders do, so that resampling is measured, too."""
    import soundfile

    minute = synthesise(60.0, 48_000)
    with soundfile.SoundFile(file, "w", samplerate=48_000, channels=1, subtype="PCM_16") as out:
        remaining = round(minutes * len(minute))
        while remaining > 0:
            out.write(minute[:remaining])
            remaining -= len(minute)


def _median_ms(work: Callable[[], object], runs: int, per_run: int = PER_RUN) -> float:
    work()  # the first call builds tables and loads libraries

    def several() -> None:
        for _ in range(per_run):
            work()

    return 1000 * statistics.median(_cpu_s(several) for _ in range(runs)) / per_run


def _cpu_s(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    models = [
        line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))
    ]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


def peak_rss_mib() -> float:
    """Return the largest memory in use by this process so far, in MiB.

    Where /proc exists it is preferred to `getrusage`, because a process on Linux inherits the peak
    of its parent there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # bytes on macOS
