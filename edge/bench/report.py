"""How fast this machine is with a bundle: a whole replay, and front end and network apart."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from edge.backends.onnx import OnnxBackend
from edge.bench.birdnet import beside_birdnet
from edge.bench.front_end import front_end_times, has_librosa
from edge.bench.measuring import cpu_model, cpu_s, has_avx512, median_ms, peak_rss_mib
from edge.bench.sound import synthesise, write_recording
from edge.bundle import Bundle, Frontend, FrontendSpec, load_bundle
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.types import Array

__all__ = ["report"]

HOPS_S = (5.0, 1.0)


def report(
    bundle_path: Path,
    *,
    runs: int,
    minutes: float,
    file: Path | None = None,
    recordings: Path | None = None,
) -> Iterator[str]:
    """Yield lines to print as they are measured, with medians of `runs`.

    The comparison with BirdNET hears `file`, or else the demonstration, and `recordings`.
    """
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
    yield from front_end_times("front end", bundle.new_frontend(), window, runs)
    paper = FrontendSpec()
    window = synthesise(paper.window_s, paper.sample_rate_hz)
    yield from front_end_times("three parts", Frontend(paper), window, runs)
    yield from beside_birdnet(file, runs=runs, minutes=minutes, recordings=recordings)


def _machine() -> Iterator[str]:
    packages = ["numpy", "scipy", "onnxruntime", "soxr", "soundfile"]
    if has_librosa():
        packages.append("librosa")
    yield f"machine     {cpu_model()}, {platform.system()} {platform.machine()}" + (
        ", with AVX-512" if has_avx512() else ""
    )
    yield f"versions    Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in packages
    )
    yield "threads     1 for numpy, 1 for the network; times are CPU time of one core"
    if chosen := os.environ.get("OPENBLAS_CORETYPE"):
        yield f"kernels     OPENBLAS_CORETYPE={chosen} holds numpy to those of another processor"


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
    return median_ms(lambda: backend.infer(features), runs)


def _replays(bundle: Bundle, *, minutes: float, runs: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        file = Path(folder, "bench.wav")
        write_recording(file, minutes)
        for hop_s in (hop_s for hop_s in HOPS_S if hop_s <= bundle.frontend.window_s):
            replayer = Replayer(ReplaySettings(bundle=bundle.word, hop_s=hop_s))
            seconds = statistics.median(
                cpu_s(lambda r=replayer: r.replay(str(file)))  # type: ignore[misc]
                for _ in range(max(1, runs // 2))
            )
            speed = minutes * 60 / seconds
            yield (
                f"replay      {hop_s:g} s hop: {speed:.0f} audio seconds per CPU second "
                f"({minutes:g} min in {seconds:.1f} s)"
            )
