"""Any bundle over any recordings, as the device hears them: each recording whole, by processes."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FP32, Bundle, ChannelSpec, Frontend, FrontendSpec, load_bundle
from edge.bundle.channels import WHOLE, MaxLevel
from edge.bundle.features import power_to_db
from train.windows.activity import Activity, measure_activity
from train.windows.audio import loop_to, read_audio

__all__ = ["LONGEST_S", "Heard", "Question", "hear_all"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
# Of a recording: so much of it is in memory at once.
LONGEST_S = 3600.0
BATCH = 8
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
class Question:
    """What is asked of a bundle: which windows, and which of its N labels are looked at.

    `species` (K,) are the labels that the recordings are of, `listed` (N,) those that may be
    answered, `animals` (N,) those of species.
    """

    bundle: Path
    hop_s: float
    species: tuple[int, ...]
    listed: tuple[bool, ...]
    animals: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a bundle says of the W windows of one recording.

    They start at `start_s` (W,); something is heard in those that are `active` (W,). `scores` (W, K
    + 1) are those of the asked species, and that of the best of the other animals that are listed;
    `means` (K + 1,) the same of the mean over the active windows, or over all where none is.
    `listed` and `off_list` (W,) are the best logits of animals that are on the list, and that are
    not (-inf for none), `novelty` (W,) is that of the bundle's own rule, raw. `cut`: only its
    beginning was heard.
    """

    start_s: NDArray[np.float64]
    active: Mask
    scores: Floats
    means: Floats
    listed: Floats
    off_list: Floats
    novelty: Floats
    cut: bool


def hear_all(
    question: Question, recordings: Sequence[Path], *, workers: int
) -> Iterator[Heard | str]:
    """Yield what the bundle says of each recording, in their order; for one that cannot be read,
    the reason.
    """
    if workers < 2:
        ear = _Ear(question)
        yield from map(ear.hear, recordings)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (question,)) as pool:
        yield from pool.map(_hear, recordings, chunksize=2)


_question: list[Question] = []


def _begin(question: Question) -> None:
    _question.append(question)


@cache
def _ear() -> _Ear:
    return _Ear(_question[0])


def _hear(recording: Path) -> Heard | str:
    return _ear().hear(recording)


class _Ear:
    """One process's bundle, ready to hear."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._bundle = load_bundle(question.bundle)
        self._frontend = self._bundle.new_frontend()
        self._network = _network(self._bundle)
        listed, animals = np.array(question.listed), np.array(question.animals)
        self._species = np.array(question.species, np.int64)
        remaining = listed & animals
        remaining[self._species] = False
        self._remaining = np.flatnonzero(remaining)
        self._listed = np.flatnonzero(listed & animals)
        self._off_list = np.flatnonzero(~listed & animals)

    def hear(self, recording: Path) -> Heard | str:
        """Return what the bundle says of a recording, or why it cannot be read."""
        try:
            samples = read_audio(recording, self._bundle.frontend.sample_rate_hz, max_s=LONGEST_S)
        except (OSError, RuntimeError) as exc:  # libsndfile's own error is one of the latter
            return str(exc)
        if not (len(samples) and np.isfinite(samples).all()):
            return "has no samples, or such as are no numbers"
        cut = len(samples) >= LONGEST_S * self._bundle.frontend.sample_rate_hz
        return self._judge(recording, samples, cut=cut)

    def _judge(self, recording: Path, samples: Floats, *, cut: bool) -> Heard:
        spec = self._bundle.frontend
        samples = loop_to(samples, spec.window_samples)
        activity, start_s = _activity(recording, samples, spec, self._question.hop_s)
        starts = np.round(start_s * spec.sample_rate_hz).astype(np.int64)
        fits = starts + spec.window_samples <= len(samples)
        embedding, logits = self._answers(samples, starts[fits])
        network, active = self._bundle.networks[FP32], activity.active[fits]
        if network.top is not None:
            embedding, logits = network.top(embedding, logits)
        head = network.head
        scores = head.scores(logits)
        means = scores[active if active.any() else ...].mean(0, keepdims=True)
        return Heard(
            start_s=start_s[fits],
            active=active,
            scores=self._asked(scores),
            means=self._asked(means)[0],
            listed=_best(logits, self._listed),
            off_list=_best(logits, self._off_list),
            novelty=np.asarray(head.rule.novelty(embedding, logits), np.float32),
            cut=cut,
        )

    def _asked(self, scores: Floats) -> Floats:
        """Return the scores (W, K + 1) that are looked at of those of all labels (W, N)."""
        others = scores[:, self._remaining].max(1, initial=-1)
        return np.column_stack([scores[:, self._species], others]).astype(np.float32)

    def _answers(self, samples: Floats, starts: Ints) -> tuple[Floats, Floats]:
        """Return embeddings (W, D) and logits (W, N) of the windows from `starts`."""
        length = self._bundle.frontend.window_samples
        answers = []
        for i in range(0, len(starts), BATCH):
            windows = [self._frontend(samples[s : s + length]) for s in starts[i : i + BATCH]]
            answers.append(self._network(np.stack(windows)))
        embedding, logits = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return embedding, logits


def _best(logits: Floats, labels: Ints) -> Floats:
    best: Floats = logits[:, labels].max(1, initial=-np.inf).astype(np.float32)
    return best


def _activity(
    recording: Path, samples: Floats, spec: FrontendSpec, hop_s: float
) -> tuple[Activity, NDArray[np.float64]]:
    """Return the activity of windows about every `hop_s`, and where they start in seconds."""
    survey = dataclasses.replace(spec, channels=spec.channels[:1])
    if spec.channels[0].component not in WHOLE:
        survey = dataclasses.replace(SURVEY, window_s=spec.window_s)
        samples = read_audio(recording, survey.sample_rate_hz, max_s=LONGEST_S)
        samples = loop_to(samples, survey.window_samples)
    activity = measure_activity(
        power_to_db(Frontend(survey).components(samples)[0]),
        window_frames=survey.component_frames - 1,
        hop_frames=max(1, round(hop_s * survey.frames_per_second)),
    )
    return activity, activity.starts * survey.hop_length / survey.sample_rate_hz


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
