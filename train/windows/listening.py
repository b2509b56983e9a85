"""What a bundle's network says of whole recordings, window by window, by several processes."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, ChannelSpec, Frontend, FrontendSpec, load_bundle
from edge.bundle.channels import WHOLE, MaxLevel
from edge.bundle.features import power_to_db
from train.windows.activity import Activity, measure_activity
from train.windows.audio import loop_to, parts_of, windows_at

__all__ = ["NEAR", "Listened", "Listener", "Watch", "in_processes"]

# Sees what was heard of each recording pass, and is told how many there are.
Watch = Callable[[Iterator[Any], int], Iterable[Any]]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
# Of a recording: so much of it is in memory at once, and has its own loudest call.
PART_S = 3600.0
BATCH = 8
NEAR = 3.0  # logits below a recording's best: windows so near it are of its weak label
# By which activity is measured where the bundle itself has no mel bands.
SURVEY = FrontendSpec(
    sample_rate_hz=32_000,
    window_s=3.0,
    n_fft=1024,
    hop_length=512,
    window_function="hann",
    n_mels=64,
    fmin_hz=50.0,
    fmax_hz=15_000.0,
    channels=(ChannelSpec(component="mel", level=MaxLevel(range_db=80.0)),),
)


@dataclass(frozen=True, kw_only=True)
class Listened:
    """The W windows of a recording: they start at `start_s` (W,), something is heard in those that
    are `active` (W,); `embedding` (W, D) and `logits` (W, N) are what the network says.
    """

    start_s: NDArray[np.float64]
    active: NDArray[np.bool_]
    embedding: Floats
    logits: Floats


class Listener:
    """One process's bundle, which hears windows every `hop_s`, of `part_s` at once."""

    def __init__(self, bundle: Path, hop_s: float, *, part_s: float = PART_S) -> None:
        self.bundle = load_bundle(bundle)
        self._hop_s, self._part_s = hop_s, part_s
        self._frontend = self.bundle.new_frontend()
        self._network = _network(self.bundle)

    def listen(self, recording: Path) -> Listened | str:
        """Return what the network says of a recording, or why it cannot be read."""
        try:
            heard = list(self._heard(recording))
        except (OSError, RuntimeError) as exc:  # libsndfile's own error is one of the latter
            return str(exc)
        if None in heard:
            return "has no samples, or such as are no numbers"
        parts = [part for part in heard if part is not None]
        columns = [field.name for field in dataclasses.fields(Listened)]
        return Listened(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in columns})

    def _heard(self, recording: Path) -> Iterator[Listened | None]:
        """Yield what the network says of each part of a recording; None for one without sound."""
        spec = self.bundle.frontend
        survey = dataclasses.replace(spec, channels=spec.channels[:1])
        if spec.channels[0].component not in WHOLE:
            survey = dataclasses.replace(SURVEY, window_s=spec.window_s)
        hop_frames = max(1, round(self._hop_s * survey.frames_per_second))
        hop_s = hop_frames * survey.hop_length / survey.sample_rate_hz
        part_s = max(1, round(self._part_s / hop_s)) * hop_s
        for i, (samples, surveyed) in enumerate(_pairs(recording, part_s, spec, survey)):
            if not (len(samples) and np.isfinite(samples).all()):
                yield None
                return
            activity = _activity(loop_to(surveyed, survey.window_samples), survey, hop_frames)
            start_s = activity.starts * survey.hop_length / survey.sample_rate_hz
            whole = loop_to(samples, spec.window_samples)
            starts = np.round(start_s * spec.sample_rate_hz).astype(np.int64)
            fits = (starts + spec.window_samples <= len(whole)) & (start_s < part_s)
            if fits.any():
                embedding, logits = self.answers(whole, starts[fits])
                yield Listened(
                    start_s=i * part_s + start_s[fits],
                    active=activity.active[fits],
                    embedding=embedding,
                    logits=logits,
                )

    def at(self, recording: Path, start_s: NDArray[np.float64]) -> tuple[Floats, Floats]:
        """Return embeddings (W, D) and logits (W, N) of windows of a recording of any length.

        They start at `start_s` (W,), ascending. Raises OSError or RuntimeError for one that cannot
        be read.
        """
        spec, features, answers = self.bundle.frontend, list[Floats](), []
        starts = np.round(start_s * spec.sample_rate_hz).astype(np.int64)
        windows = windows_at(recording, spec.sample_rate_hz, starts, spec.window_samples)
        for i, samples in enumerate(windows):
            features.append(self._frontend(samples))
            if len(features) == BATCH or i == len(starts) - 1:
                answers.append(self._network(np.stack(features)))
                features.clear()
        embedding, logits = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return embedding, logits

    def answers(self, samples: Floats, starts: Ints) -> tuple[Floats, Floats]:
        """Return embeddings (W, D) and logits (W, N) of the windows from `starts`."""
        length = self.bundle.frontend.window_samples
        answers = []
        for i in range(0, len(starts), BATCH):
            windows = [self._frontend(samples[s : s + length]) for s in starts[i : i + BATCH]]
            answers.append(self._network(np.stack(windows)))
        embedding, logits = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return embedding, logits


def in_processes(
    make: Callable[..., Callable[[Any], Any]],
    arguments: tuple[Any, ...],
    items: Sequence[Any],
    *,
    workers: int,
) -> Iterator[Any]:
    """Yield `make(*arguments)(item)` of each item, in order; each process makes it once."""
    if workers < 2:
        yield from map(make(*arguments), items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (make, arguments)) as pool:
        yield from pool.map(_do, items, chunksize=2)


_made: list[Callable[[Any], Any]] = []


def _begin(make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    _made.append(make(*arguments))


def _do(item: Any) -> Any:
    return _made[0](item)


def _pairs(
    recording: Path, part_s: float, spec: FrontendSpec, survey: FrontendSpec
) -> Iterator[tuple[Floats, Floats]]:
    """Yield parts of a recording at the rates of both frontends."""

    def parts(frontend: FrontendSpec) -> Iterator[Floats]:
        length = round(part_s * frontend.sample_rate_hz)
        return parts_of(recording, frontend.sample_rate_hz, length, frontend.window_samples)

    if survey.sample_rate_hz == spec.sample_rate_hz:
        yield from ((samples, samples) for samples in parts(spec))
    else:
        yield from zip(parts(spec), parts(survey), strict=False)


def _activity(samples: Floats, survey: FrontendSpec, hop_frames: int) -> Activity:
    return measure_activity(
        power_to_db(Frontend(survey).components(samples)[0]),
        window_frames=survey.component_frames - 1,
        hop_frames=hop_frames,
    )


def _network(bundle: Bundle) -> Callable[[Floats], tuple[Floats, Floats]]:
    import onnxruntime  # slow to import

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # processes share the cores
    session = onnxruntime.InferenceSession(
        str(bundle.model_path), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def run(features: Floats) -> tuple[Floats, Floats]:
        embedding, logits = session.run(["embedding", "logits"], {name: features})
        return embedding, logits

    return run
