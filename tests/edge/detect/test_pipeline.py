"""detect(): any partition of the audio gives the same detections, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, FrontendSpec
from edge.detect.engines import load_model
from edge.detect.model import Classifier, Model
from edge.detect.pipeline import detect
from edge.detect.smoothing import NoSmoothing
from edge.detect.tracker import Tracker, TrackerConfig
from edge.detect.windows import Windower
from edge.errors import BackendError
from edge.sources.base import Source
from edge.sources.file import FileSource
from edge.types import Array, AudioBlock, Detection, Prediction, Window
from tests.support.audio import soundscape
from tests.support.bundles import SPEC, tiny_bundle, tone
from tests.support.sources import ArraySource

RATE_HZ = SPEC.sample_rate_hz
SOUNDS = soundscape()


@dataclass
class Ledger:
    """A meter that keeps what it sees."""

    heard: int = 0
    predictions: list[Prediction] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)

    def block(self, block: AudioBlock) -> None:
        self.heard += len(block.samples)

    def prediction(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)

    def failed(self, window: Window, error: BackendError) -> None:
        self.failures.append(window.start_sample)


def run(
    source: Source, model: Classifier, config: TrackerConfig | None = None
) -> tuple[list[Detection], Ledger]:
    ledger = Ledger()
    spec = model.bundle.frontend
    rate_hz = spec.sample_rate_hz
    windower = Windower(
        window_samples=spec.window_samples, hop_samples=rate_hz // 2, sample_rate_hz=rate_hz
    )
    tracker = Tracker(decision=model.decision, identity="test", config=config)
    return list(
        detect(
            source.blocks(),
            windower=windower,
            model=model,
            tracker=tracker,
            smoothing=NoSmoothing(),
            meter=ledger,
        )
    ), ledger


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return load_model(bundle)


def played(samples: Array, sizes: tuple[int, ...]) -> ArraySource:
    return ArraySource(runs=[(0, samples)], sample_rate_hz=RATE_HZ, sizes=sizes)


@settings(max_examples=8)
@given(sizes=st.lists(st.integers(50, 40_000), min_size=1, max_size=4).map(tuple))
def test_any_partition_gives_the_same_detections(model: Model, sizes: tuple[int, ...]) -> None:
    detections, ledger = run(played(SOUNDS, sizes), model)
    whole, expected = run(played(SOUNDS, (len(SOUNDS),)), model)
    assert detections == whole
    assert ledger.predictions == expected.predictions
    assert all(
        np.array_equal(a.embedding, b.embedding) for a, b in zip(detections, whole, strict=True)
    )


@pytest.mark.parametrize("block_s", [0.013, 0.5, 60.0])
def test_a_file_gives_what_the_live_audio_gave(
    model: Model, recording: str, block_s: float
) -> None:
    source = FileSource(recording, sample_rate_hz=RATE_HZ, block_s=block_s)
    samples = np.concatenate([b.samples for b in source.blocks()])
    assert run(source, model)[0] == run(played(samples, (777,)), model)[0]


@pytest.mark.data
def test_any_partition_of_a_real_recording_gives_the_same(recordings: Path, tmp_path: Path) -> None:
    spec = FrontendSpec()
    judge = load_model(tiny_bundle(tmp_path / "bundle", spec=spec))
    file = str(sorted((recordings / "background").glob("*.ogg"))[0])

    def heard(block_s: float) -> tuple[list[Detection], list[Prediction]]:
        source = FileSource(file, sample_rate_hz=spec.sample_rate_hz, block_s=block_s)
        detections, ledger = run(source, judge)
        return detections, ledger.predictions

    whole = heard(100.0)
    assert len(whole[1]) > 5
    assert heard(0.02) == heard(1.1) == whole


def test_the_meter_sees_all_audio_and_every_window(model: Model) -> None:
    _, ledger = run(played(SOUNDS, (1000,)), model)
    assert ledger.heard == len(SOUNDS)
    assert [p.start_sample for p in ledger.predictions[:3]] == [0, 4000, 8000]
    assert ledger.predictions[-1].end_sample == len(SOUNDS)


def test_known_unknown_and_dead_audio(model: Model) -> None:
    detections, _ = run(played(SOUNDS, (1000,)), model)
    ended = [(d.label, round(d.start_s), round(d.end_s)) for d in detections if d.state == "end"]
    assert ended == [
        ("low_hummer", 0, 4),
        (None, 4, 10),
        ("high_peeper", 10, 14),
        ("mid_whistler", 16, 19),
    ]


def test_no_prediction_spans_lost_audio(model: Model) -> None:
    lost = range(30_000, 31_000)
    runs = [(0, SOUNDS[: lost.start]), (lost.stop, SOUNDS[lost.stop :])]
    _, ledger = run(ArraySource(runs=runs, sample_rate_hz=RATE_HZ, sizes=(900,)), model)
    assert all(
        p.end_sample <= lost.start or p.start_sample >= lost.stop for p in ledger.predictions
    )
    assert {lost.start, lost.stop} <= {p.end_sample for p in ledger.predictions} | {
        p.start_sample for p in ledger.predictions
    }


class Faulty:
    """A backend that answers one window with an error and another with what is no number."""

    def __init__(self, bundle: Bundle, *, error: int, nothing: int) -> None:
        self._inner = OnnxBackend(bundle.model_path)
        self._error, self._nothing = error, nothing
        self._calls = -1  # the self-test is not counted

    def infer(self, features: Array) -> tuple[Array, Array]:
        call, self._calls = self._calls, self._calls + 1
        if call == self._error:
            raise BackendError("out of memory")
        embedding, logits = self._inner.infer(features)
        return (
            (embedding, logits * np.float32(np.nan))
            if call == self._nothing
            else (embedding, logits)
        )


def test_a_window_that_fails_costs_itself_and_nothing_else(model: Model, bundle: Bundle) -> None:
    detections, ledger = run(
        played(SOUNDS, (1000,)), Model(bundle, Faulty(bundle, error=3, nothing=14))
    )
    assert ledger.failures == [3 * RATE_HZ // 2, 14 * RATE_HZ // 2]
    _, whole = run(played(SOUNDS, (1000,)), model)
    assert ledger.predictions == [
        p for p in whole.predictions if p.start_sample not in ledger.failures
    ]
    labels = [d.label for d in detections if d.state == "end"]
    assert labels == ["low_hummer", None, "high_peeper", "mid_whistler"]


def test_samples_that_are_no_numbers_fail_their_windows_only(model: Model) -> None:
    spoilt = SOUNDS.copy()
    spoilt[2 * RATE_HZ] = np.nan
    spoilt[-1] = np.inf
    _, ledger = run(played(spoilt, (1000,)), model)
    _, whole = run(played(SOUNDS, (1000,)), model)
    hit = {
        p.start_sample
        for p in whole.predictions
        if p.start_sample <= 2 * RATE_HZ < p.end_sample or p.end_sample == len(SOUNDS)
    }
    assert set(ledger.failures) == hit
    assert ledger.predictions == [p for p in whole.predictions if p.start_sample not in hit]


def test_the_time_that_features_and_network_take_is_measured(model: Model) -> None:
    _, ledger = run(played(SOUNDS, (1000,)), model)
    for p in ledger.predictions:
        assert (p.frontend_s > 0) == (p.network_s > 0) == (not p.health.gated)


def test_lost_sound_ends_an_event_while_it_is_still_lost(model: Model) -> None:
    """As a microphone that is gone has it: blocks without samples, whose start moves on."""
    sound = tone(300, 3)
    blocks = [AudioBlock(start_sample=0, samples=sound, sample_rate_hz=RATE_HZ)]
    nothing = sound[:0]
    for second in range(1, 10):
        start = len(sound) + second * RATE_HZ
        blocks.append(AudioBlock(start_sample=start, samples=nothing, sample_rate_hz=RATE_HZ))
    given_out = 0

    def fed() -> Iterator[AudioBlock]:
        nonlocal given_out
        for number, block in enumerate(blocks):
            given_out = number
            yield block

    spec = model.bundle.frontend
    found = detect(
        fed(),
        windower=Windower(
            window_samples=spec.window_samples,
            hop_samples=RATE_HZ // 2,
            sample_rate_hz=RATE_HZ,
        ),
        model=model,
        tracker=Tracker(decision=model.decision, identity="test"),
        smoothing=NoSmoothing(),
        meter=Ledger(),
    )
    seen = [(d.state, given_out) for d in found]
    assert [state for state, _ in seen] == ["new", "end"]
    assert seen[1][1] == 4  # the cool-down is 3 s
