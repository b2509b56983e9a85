"""Windows that are judged and followed at once give what one after the other gives, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import Bundle, Label, ListMargin
from edge.bundle.animal import AnimalRule
from edge.detect.batch import WindowBatch
from edge.detect.classifier import Answer, TwoStepClassifier
from edge.detect.engines import load_models
from edge.detect.judgement import Judgement
from edge.detect.pipeline import Break, events_of
from edge.detect.rows import Windows
from edge.detect.site import Site
from edge.detect.smoothing import NoSmoothing, with_neighbours
from edge.detect.species_list import parse_species
from edge.detect.tracker import Tracker, TrackerConfig
from edge.types import Detection, Prediction, Window
from tests.edge.detect.test_offlist import CLOCK
from tests.support.bundles import choir_bundle, tiny_bundle
from tests.support.heads import tiny_head

RATE_HZ, WINDOW = 8000, 8000
ANIMAL = AnimalRule(weights={"best_animal": 1.0, "spread": 0.5}, bias=0.5, threshold=0.4)
OWN = {
    Label(label="growler", common_name="Growler"): 0,
    Label(label="stranger", common_name="Stranger"): -1,
}
OTHER = {Label(label="squeaker", common_name="Squeaker"): 2}
HEALTH = {"rms_dbfs": -30.0, "peak_dbfs": -10.0, "clip_ratio": 0.0, "dc": 0.0}


def single(kind: str, folder: Path) -> Bundle:
    """A bundle of a kind of decision."""
    if kind == "one":
        return tiny_bundle(folder)
    choices: dict[str, dict[str, Any]] = {
        "several": {"label_thresholds": {"low_hummer": 0.7}},
        "animals": {"animal": ANIMAL, "activation": "softmax_other"},
        "frames": {"animal": ANIMAL, "frame_threshold": 0.5},
    }
    return choir_bundle(folder, **choices[kind])


def bundles(kind: str, folder: Path) -> list[Bundle]:
    """Bundles that judge together."""
    if kind in SINGLE:
        return [single(kind, folder / kind)]
    if kind == "ensemble":
        return [tiny_bundle(folder / "a"), tiny_bundle(folder / "b", order=(2, 1, 0))]
    trunk = choir_bundle(folder / "trunk", list_margin=ListMargin(threshold=0.0, scale=1.0))
    random = np.random.default_rng(2)
    weights = random.standard_normal((len(trunk.golden.embedding), 2)).astype(np.float32)
    head = tiny_head(folder / "head", trunk, OWN, weights=weights, threshold=1.0, animal=ANIMAL)
    more = {
        "head": [],
        "heads": [tiny_head(folder / "alike", trunk, OWN)],
        "layers": [tiny_head(folder / "another", trunk, OTHER, threshold=1.0), trunk],
    }
    return [head, *more[kind]]


SINGLE = ("one", "several", "animals", "frames")
KINDS = (*SINGLE, "ensemble", "head", "layers", "heads")


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TwoStepClassifier:
    found = bundles(request.param, tmp_path)
    return load_models(found, backend="cpu", variant="fp32")


def answers_to(model: TwoStepClassifier, count: int, seed: int, *, each: int = 1) -> list[Answer]:
    """What the networks might say of windows of which each resembles the one before it, and `each`
    so many more.
    """
    golden, random = model.bundle.golden, np.random.default_rng(seed)
    window = Window(
        start_sample=0,
        end_sample=len(golden.samples),
        samples=golden.samples,
        sample_rate_hz=RATE_HZ,
    )
    found = []
    for asked in model.ask(window)[1]:
        labels, dimensions = asked.logits.shape[1], asked.embedding.shape[1]
        logits = np.cumsum(random.standard_normal((count, labels)), axis=0)
        logits = 2 * (logits - 0.9 * np.roll(logits, 5, axis=0))
        logits = np.repeat(logits, each, axis=0)[:count]
        logits += 0.1 * random.standard_normal(logits.shape)
        embedding = random.standard_normal((count, dimensions))
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        frames = None
        if asked.frames is not None:
            frames = random.standard_normal((count, 4, labels)) + logits[:, np.newaxis]
        found.append(
            Answer(
                embedding=embedding.astype(np.float32),
                logits=logits.astype(np.float32),
                frames=None if frames is None else frames.astype(np.float32),
            )
        )
    return found


def row_of(answers: Sequence[Answer], i: int) -> list[Answer]:
    return [
        Answer(
            embedding=answer.embedding[i : i + 1],
            logits=answer.logits[i : i + 1],
            frames=None if answer.frames is None else answer.frames[i : i + 1],
        )
        for answer in answers
    ]


def windows(count: int, seed: int, *, hop_s: float, recording: int = 0) -> Windows:
    """Windows with gaps, dead ones, and one at the end that is not at the hop."""
    random = np.random.default_rng(seed)
    hops = np.full(count, round(hop_s * RATE_HZ))
    hops[random.random(count) < 0.03] = 6 * RATE_HZ
    hops[-1] = hops[-1] // 3 or 1
    start = np.cumsum(hops) - hops[0]
    breaks = {int(i): [int(start[i + 1])] for i in np.flatnonzero(hops[1:] == 6 * RATE_HZ) if i % 4}
    health = {name: np.full(count, value) for name, value in HEALTH.items()}
    dead = random.random(count) < 0.02
    return Windows(
        start=start,
        end=start + WINDOW,
        recording=np.full(count, recording),
        sample_rate_hz=RATE_HZ,
        health=health | {"dead": dead, "stuck": np.zeros(count, bool)},
        breaks=breaks,
    )


def one_by_one(
    model: TwoStepClassifier, given: Windows, answers: Sequence[Answer]
) -> Iterator[Prediction | Break]:
    for i, gated in enumerate(given.gated.tolist()):
        p = given.gated_prediction(i)
        yield p if gated else model.judged(p, row_of(answers, i))
        for sample in given.breaks.get(i, ()):
            yield Break(until_sample=sample)


def exact(events: Iterator[Detection]) -> list[tuple[Detection, bytes]]:
    return [(event, event.embedding.tobytes()) for event in events]


def tracker(
    model: TwoStepClassifier, *, listed: bool, narrow: bool = True, ends_only: bool = False
) -> Tracker:
    site: Callable[[Prediction], Prediction] = lambda p: p  # noqa: E731
    if listed:
        species = parse_species([model.decision.labels[0]])
        site = Site(species, clock_at=lambda sample: CLOCK, decision=model.decision)
    return Tracker(
        decision=model.decision,
        identity="test",
        site=site,
        config=TrackerConfig(longest_s=8.0, narrow=narrow),
        ends_only=ends_only,
    )


@pytest.mark.parametrize("hop_s", [0.2, 0.6, 1.0])
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("narrow", [True, False])
def test_the_events_are_those_of_one_window_after_the_other(
    model: TwoStepClassifier, hop_s: float, listed: bool, narrow: bool
) -> None:
    given, answers = windows(300, 3, hop_s=hop_s), answers_to(model, 300, 4)
    singly = one_by_one(model, given, answers)
    new = partial(tracker, model, listed=listed, narrow=narrow)
    expected = exact(events_of(singly, smoothing=NoSmoothing(), tracker=new()))
    for following in (new(), new(ends_only=True)):
        batch = WindowBatch(given, model.judgement(answers), model.decision)
        found = [*batch.events(following, 0, 100), *batch.events(following, 100, 300)]
        assert exact(iter([*found, *following.flush()])) == expected
        expected = [pair for pair in expected if pair[0].state == "end"]
    assert len(expected) > 5


@pytest.mark.parametrize("listed", [False, True])
def test_what_lasts_is_followed_at_once_and_gives_the_same(
    model: TwoStepClassifier, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, answers = windows(600, 5, hop_s=0.2), answers_to(model, 600, 6, each=12)
    singly = one_by_one(model, given, answers)
    alone = tracker(model, listed=listed, ends_only=True)
    expected = exact(events_of(singly, smoothing=NoSmoothing(), tracker=alone))
    assert len(expected) > 5
    together = tracker(model, listed=listed, ends_only=True)
    single, follow = 0, Tracker.follow

    def counted(self: Tracker, *arguments: Any) -> Iterator[Detection]:
        nonlocal single
        single += 1
        return follow(self, *arguments)

    monkeypatch.setattr(Tracker, "follow", counted)
    batch = WindowBatch(given, model.judgement(answers), model.decision)
    assert exact(iter([*batch.events(together, 0, 600), *together.flush()])) == expected
    if model.decision.gives_one and model.decision.margin is None and not listed:
        assert single < 200


def test_an_unknown_after_a_pause_as_long_as_the_cool_down_is_another(tmp_path: Path) -> None:
    """The last quiet window did not end the first one, whose cool-down is over at the next."""
    model = load_models([single("animals", tmp_path)], backend="cpu", variant="fp32")
    animal = np.array([1.0, 0, 0, 0, 1, 1])
    count, start = len(animal), np.arange(len(animal)) * WINDOW
    health = {name: np.full(count, value) for name, value in HEALTH.items()}
    given = Windows(
        start=start,
        end=start + WINDOW,
        recording=np.zeros(count, int),
        sample_rate_hz=RATE_HZ,
        health=health | {"dead": np.zeros(count, bool), "stuck": np.zeros(count, bool)},
        breaks={},
    )
    judged = Judgement(
        scores=np.full((count, len(model.decision.labels)), 0.1, np.float32),
        novelties=np.ones((count, 1)),
        accepted=np.zeros(count, bool),
        embedding=np.zeros((count, 2), np.float32),
        animal=animal,
    )
    batch = WindowBatch(given, judged, model.decision)
    following, alone = (
        Tracker(
            decision=model.decision,
            identity="test",
            config=TrackerConfig(cooldown_s=2.0),
            ends_only=True,
        )
        for _ in range(2)
    )
    found = [*batch.events(following, 0, count), *following.flush()]
    assert [(d.start_s, d.end_s, d.windows) for d in found] == [(0, 1, 1), (4, 6, 2)]
    singly = map(batch.prediction, range(count))
    assert found == list(events_of(singly, smoothing=NoSmoothing(), tracker=alone))


def test_a_row_is_the_same_whatever_is_judged_with_it(model: TwoStepClassifier) -> None:
    answers = answers_to(model, 67, 5)
    many_rows = model.judgement(answers)
    for i in range(67):
        alone = model.judgement(row_of(answers, i))
        for field in dataclasses.fields(alone):
            one, many = getattr(alone, field.name), getattr(many_rows, field.name)
            if isinstance(many, np.ndarray):
                assert one[0].tobytes() == many[i].tobytes(), field.name


def test_windows_of_two_recordings_do_not_smooth_each_other(model: TwoStepClassifier) -> None:
    first, second = windows(40, 6, hop_s=0.3), windows(60, 7, hop_s=0.3, recording=1)
    both = Windows(
        start=np.concatenate([first.start, second.start]),
        end=np.concatenate([first.end, second.end]),
        recording=np.concatenate([first.recording, second.recording]),
        sample_rate_hz=RATE_HZ,
        health={name: np.concatenate([x, second.health[name]]) for name, x in first.health.items()},
        breaks=first.breaks | {40 + i: samples for i, samples in second.breaks.items()},
    )
    answers = answers_to(model, 100, 8)
    batch = WindowBatch(both, model.judgement(answers), model.decision)
    for given, begin, end in ((first, 0, 40), (second, 40, 100)):
        rows = [dataclasses.replace(one, **cut(one, begin, end)) for one in answers]
        trackers = [Tracker(decision=model.decision, identity="test") for _ in range(2)]
        singly = one_by_one(model, given, rows)
        expected = exact(events_of(singly, smoothing=NoSmoothing(), tracker=trackers[0]))
        found = [*batch.events(trackers[1], begin, end), *trackers[1].flush()]
        assert exact(iter(found)) == expected


def cut(answer: Answer, begin: int, end: int) -> dict[str, Any]:
    names = ("embedding", "logits", "frames")
    arrays = {name: getattr(answer, name) for name in names}
    return {name: None if x is None else x[begin:end] for name, x in arrays.items()}


def test_a_window_carries_each_label_once(model: TwoStepClassifier) -> None:
    given, answers = windows(200, 9, hop_s=0.3), answers_to(model, 200, 10)
    singly = [p for p in one_by_one(model, given, answers) if isinstance(p, Prediction)]
    for before, p, after in zip(singly, singly[1:], singly[2:], strict=False):
        smoothed = with_neighbours(before, p, after, decision=model.decision)
        labels = [score.label for score in smoothed.accepted]
        assert len(set(labels)) == len(labels)
