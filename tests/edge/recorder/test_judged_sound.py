"""The law of privacy: no clip has a sample of a window that holds speech, or that nobody judged."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import Label
from edge.clock import Clock
from edge.config.sections import ClipsConfig
from edge.detect.decision import Decision
from edge.detect.model import Classifier, unjudged
from edge.detect.pipeline import detect
from edge.detect.privacy import Privacy, PrivacyConfig
from edge.detect.signal_health import HealthConfig
from edge.detect.smoothing import SmoothingConfig, smoothing_of
from edge.detect.tracker import Tracker, TrackerConfig
from edge.detect.windows import Windower
from edge.errors import BackendError
from edge.provenance import Provenance
from edge.recorder.clips import ClipFolder, ClipWriter
from edge.recorder.judged_sound import JudgedSound
from edge.recorder.recent_audio import RecentAudio
from edge.sources.callbacks import CardAudio
from edge.types import Array, AudioBlock, Detection, Prediction, Score, Window

RATE_HZ = 100
WINDOW, HOP = 100, 25
LABELS = (
    Label(label="human_vocal", common_name="Human", kind="human"),
    Label(label="bird", common_name="Bird"),
)
LEVELS = {"speech": 0.9, "bird": 0.5, "quiet": 0.1, "silence": 0.0}
CLOCK = Clock(
    start_utc=datetime(2024, 5, 1, tzinfo=timezone.utc),
    sample_rate_hz=RATE_HZ,
    source="system",
    synced=True,
    uncertainty_s=0.1,
)
PROVENANCE = Provenance(
    bundle="b" * 64, config="c" * 64, code="d" * 64, labels={}, backend="none", variant="fp32"
)


class Ears:
    """Recognises speech by `least` samples of it, if faintly; fails on windows of these numbers."""

    decision = Decision(labels=tuple(label.label for label in LABELS))

    def __init__(self, failing: Set[int], least: int = 1) -> None:
        self._failing = failing
        self._least = least
        self._count = 0

    def predict(self, window: Window) -> Prediction:
        self._count += 1
        if self._count in self._failing:
            raise BackendError("the network is broken")
        p = unjudged(window, HealthConfig())
        if p.health.gated:
            return p
        level = np.abs(window.samples)
        speech, bird = (
            int((level > 0.8).sum()) >= self._least,
            bool((np.abs(level - 0.5) < 0.1).any()),
        )
        scores = np.array([0.3 * speech, 0.6 if bird else 0.01], np.float32)
        return self.decision(p, scores=scores, novelty=0.2 if bird else 0.8, accepted=bird)


@dataclass
class Recording:
    """Is the pipeline's meter; keeps what every window said, and writes clips as events end."""

    privacy: Privacy
    folder: Path
    predictions: list[Prediction] = field(default_factory=list)
    failures: list[Window] = field(default_factory=list)
    withheld: list[Score] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judged = JudgedSound(self.privacy, kept_samples=60 * RATE_HZ)
        self.recent = RecentAudio(stream_rate_hz=RATE_HZ, capacity=lambda rate_hz: 60 * rate_hz)
        config = ClipsConfig(folder=self.folder, padding_s=1.0, format="wav", reserve_mb=0.0)
        self.clips = ClipWriter(
            config,
            folder=ClipFolder(config),
            audio=self.recent,
            provenance=PROVENANCE,
            device="pond",
            judged=self.judged if self.privacy.on else None,
        )

    def block(self, block: AudioBlock) -> None:
        self.judged.block(block)

    def prediction(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)
        self.judged.prediction(prediction)

    def failed(self, window: Window, error: BackendError) -> None:
        self.failures.append(window)
        self.judged.failed(window)

    def keep(self, event: Detection) -> None:
        if event.state == "end":
            clip = self.clips.write(event, CLOCK)
            if isinstance(clip, str):
                self.files.append(clip)
            elif clip is not None:
                self.withheld.append(clip)


Part = tuple[str, int]


def sound(kind: str, length: int) -> Array:
    """Return samples of a kind, which its level tells: they change their sign with each."""
    samples: Array = (LEVELS[kind] * (-1.0) ** np.arange(length)).astype(np.float32)
    return samples


def blocks_of(parts: list[Part], sizes: list[int], recent: RecentAudio) -> Iterator[AudioBlock]:
    """Yield what a card gives: it has each block earlier than the pipeline, and the next one, too,
    where they follow each other.
    """
    at, turn = 0, 0
    runs: list[tuple[int, list[Array]]] = [(0, [])]
    for kind, length in parts:
        if kind == "lost":
            runs.append((at + length, []))
        else:
            runs[-1][1].append(sound(kind, length))
        at += length
    for start, pieces in runs:
        samples = np.concatenate([np.empty(0, np.float32), *pieces])
        begun, done, pushed = False, 0, 0
        while done < len(samples):
            size = sizes[turn % len(sizes)]
            turn += 1
            ahead = samples[pushed : done + 2 * size]
            where = None if begun else start
            recent.push(CardAudio(samples=ahead, sample_rate_hz=RATE_HZ, start_sample=where))
            begun, pushed = True, pushed + len(ahead)
            part = samples[done : done + size]
            yield AudioBlock(start_sample=start + done, samples=part, sample_rate_hz=RATE_HZ)
            done += len(part)
    nothing = np.empty(0, np.float32)
    yield AudioBlock(start_sample=at, samples=nothing, sample_rate_hz=RATE_HZ, last=True)


def recorded(
    parts: list[Part],
    folder: Path,
    *,
    sizes: list[int],
    failing: Set[int] = frozenset(),
    slide_s: float = 0.0,
    least: int = 1,
    **config: Any,
) -> tuple[Recording, list[Detection]]:
    privacy = Privacy(PrivacyConfig(**config), [LABELS])
    recording = Recording(privacy, folder)
    ears = Ears(failing, least)
    events = []
    for event in detect(
        blocks_of(parts, sizes, recording.recent),
        windower=Windower(window_samples=WINDOW, hop_samples=HOP, sample_rate_hz=RATE_HZ),
        model=cast(Classifier, ears),
        smoothing=smoothing_of(
            SmoothingConfig(slide_s=slide_s), decision=ears.decision, sample_rate_hz=RATE_HZ
        ),
        tracker=Tracker(
            decision=ears.decision,
            identity="test",
            config=TrackerConfig(cooldown_s=0.6, longest_s=2.0, update_s=1.0),
        ),
        meter=recording,
        is_private=privacy.drops,
    ):
        events.append(event)
        recording.keep(event)
    return recording, events


def span_of(file: Path) -> tuple[int, int]:
    """Return which samples of the stream a clip has, by its own metadata."""
    found = re.search(rb"Edge\|StartSample: (\d+)", file.read_bytes())
    assert found is not None
    return int(found[1]), int(found[1]) + soundfile.info(str(file)).frames


PARTS = st.lists(
    st.tuples(st.sampled_from([*LEVELS, "bird", "bird", "lost"]), st.integers(1, 200)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(
    parts=PARTS,
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    failing=st.sets(st.integers(1, 30), max_size=6),
    policy=st.sampled_from(["drop_clip", "drop_window"]),
    slide_s=st.sampled_from([0.0, 0.7]),
    least=st.sampled_from([1, 40]),
)
def test_no_clip_has_speech_or_what_was_not_judged(
    parts: list[Part], sizes: list[int], failing: set[int], policy: str, slide_s: float, least: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording, _ = recorded(
            parts,
            Path(folder),
            sizes=sizes,
            failing=failing,
            slide_s=slide_s,
            least=least,
            speech=policy,
        )
        length = sum(size for _, size in parts)
        clear, private = np.zeros(length, bool), np.zeros(length, bool)
        for p in recording.predictions:
            if not p.health.gated:
                clear[p.start_sample : p.end_sample] = True
                private[p.start_sample : p.end_sample] |= bool(p.scores[0] > 0)
        for window in recording.failures:
            clear[window.start_sample : window.end_sample] = False
        at = 0
        for kind, size in parts:  # there is no sound in what was lost
            clear[at : at + size] |= kind == "lost"
            at += size
        for name in recording.files:
            samples, _ = soundfile.read(Path(folder, name), dtype="float32")
            assert least > 1 or np.abs(samples).max(initial=0) < 0.8
            start, end = span_of(Path(folder, name))
            assert clear[start:end].all()
            assert not private[start:end].any()


@settings(max_examples=50, deadline=None)
@given(parts=PARTS, sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_the_size_of_blocks_changes_nothing_but_how_far_a_clip_goes(
    parts: list[Part], sizes: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, events = recorded(parts, Path(one), sizes=[25])
        second, again = recorded(parts, Path(two), sizes=sizes)
        assert events == again
        assert len(first.files) + len(first.withheld) == len(second.files) + len(second.withheld)


def test_a_clip_without_speech_has_its_padding(tmp_path: Path) -> None:
    parts = [("quiet", 400), ("bird", 30), ("quiet", 500)]
    recording, events = recorded(parts, tmp_path, sizes=[40])
    bird = next(event for event in events if (event.label, event.state) == ("bird", "end"))
    (file,) = (name for name in recording.files if name.startswith("bird/"))
    assert span_of(tmp_path / file) == (bird.start_sample - 100, bird.end_sample + 100)
    assert not recording.withheld


def test_a_clip_with_speech_in_its_padding_alone_is_withheld(tmp_path: Path) -> None:
    """The event ends a cool-down before anybody speaks, and its clip begins after that."""
    parts = [("quiet", 300), ("bird", 50), ("quiet", 140), ("speech", 1), ("quiet", 600)]
    recording, _ = recorded(parts, tmp_path, sizes=[25])
    assert Score(label="human_vocal", score=np.float32(0.3).item()) in recording.withheld
    assert not [name for name in recording.files if name.startswith("bird/")]


def test_a_clip_ends_before_speech_that_later_windows_recognise(tmp_path: Path) -> None:
    """An event that has lasted too long is ended while its sound goes on."""
    for start in range(250, 450, 5):
        parts = [("bird", start), ("speech", 60), ("bird", 400)]
        recording, _ = recorded(parts, tmp_path / str(start), sizes=[25], least=50)
        windows = [p for p in recording.predictions if p.scores[0] > 0]
        for name in recording.files:
            first, end = span_of(tmp_path / str(start) / name)
            assert not [p for p in windows if p.start_sample < end and first < p.end_sample]


def test_what_is_kept_is_written_with_speech(tmp_path: Path) -> None:
    parts = [("quiet", 200), ("bird", 200), ("speech", 50), ("quiet", 500)]
    recording, _ = recorded(parts, tmp_path, sizes=[40], speech="keep")
    levels = [np.abs(soundfile.read(tmp_path / name)[0]).max() for name in recording.files]
    assert max(levels) > 0.8
    assert not recording.withheld


def test_a_window_that_is_dropped_gives_no_event_and_prolongs_none(tmp_path: Path) -> None:
    parts = [("bird", 200), ("speech", 1000), ("bird", 200)]
    _, events = recorded(parts, tmp_path, sizes=[40], speech="drop_window")
    spans = [(e.start_sample, e.end_sample) for e in events if e.state == "end"]
    assert spans == [(0, 200), (1200, 1400)]
    _, kept = recorded(parts, tmp_path, sizes=[40], speech="drop_clip")
    assert len([e for e in kept if e.state == "end"]) > 2


def test_what_ended_before_people_spoke_is_told_while_they_do(tmp_path: Path) -> None:
    parts = [("bird", 200), ("speech", 3000)]
    privacy = Privacy(PrivacyConfig(speech="drop_window"), [LABELS])
    recording = Recording(privacy, tmp_path)
    ears = Ears(set())
    events = detect(
        blocks_of(parts, [25], recording.recent),
        windower=Windower(window_samples=WINDOW, hop_samples=HOP, sample_rate_hz=RATE_HZ),
        model=cast(Classifier, ears),
        smoothing=smoothing_of(SmoothingConfig(), decision=ears.decision, sample_rate_hz=RATE_HZ),
        tracker=Tracker(decision=ears.decision, identity="test"),
        meter=recording,
        is_private=privacy.drops,
    )
    told_at = []
    for event in events:
        if event.state == "end":
            told_at.append(recording.predictions[-1].end_sample)
    assert max(told_at) < 900  # the cool-down is 3 s, of which two windows come late
