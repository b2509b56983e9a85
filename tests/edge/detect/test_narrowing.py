"""Events begin and end where the call does, within the windows that hold it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.detect.decision import Decision
from edge.detect.model import NOTHING
from edge.detect.tracker import Tracker, TrackerConfig
from edge.types import Detection, Frames, Prediction, SignalHealth

RATE_HZ = 100
WINDOW = 300
LABELS = ("ant", "bee")
FINE = SignalHealth(
    rms_dbfs=-30.0, peak_dbfs=-20.0, clip_ratio=0.0, dc=0.0, dead=False, stuck=False
)
DECISION = Decision(labels=LABELS, thresholds=np.full(2, 0.5, np.float32))
WHOLE = TrackerConfig(narrow=False)
Call = tuple[int, int]  # start and end in samples


def judged(start: int, logit: float, *, active: np.ndarray | None = None) -> Prediction:
    """What a network with two outputs says; the second hears nothing."""
    scores = np.array([1 / (1 + np.exp(-logit)), 1e-4], np.float32)
    p = Prediction(
        start_sample=start,
        end_sample=start + WINDOW,
        sample_rate_hz=RATE_HZ,
        label=None,
        nearest=None,
        score=0.0,
        novelty=0.1,
        top=(),
        health=FINE,
        scores=NOTHING,
        embedding=NOTHING,
        frames=None if active is None else Frames(active=active, window_samples=WINDOW),
    )
    return DECISION(p, scores=scores, novelty=0.1, accepted=True)


def heard(calls: Sequence[Call], hop: int, until: int) -> Iterator[Prediction]:
    """Windows whose logit rises from -8 to 6 with the calls in them, up to 0.75 s of these."""
    for start in range(0, until - WINDOW + 1, hop):
        inside = sum(max(min(b, start + WINDOW) - max(a, start), 0) for a, b in calls)
        yield judged(start, -8 + 14 * min(inside / 75, 1))


def tracked(
    predictions: Sequence[Prediction], config: TrackerConfig | None = None
) -> list[Detection]:
    tracker = Tracker(decision=DECISION, identity="test", config=config)
    found = [d for p in predictions for d in tracker.push(p)]
    return found + list(tracker.flush())


def ants(found: Sequence[Detection]) -> list[Detection]:
    return [d for d in found if d.state == "end" and d.label == "ant"]


@pytest.mark.parametrize("hop", [25, 50, 100, 150])
def test_an_event_is_where_its_call_is(hop: int) -> None:
    for call in ((800, 1200), (830, 1610), (815, 900), (777, 1399)):
        windows = list(heard([call], hop, 2500))
        (event,), (whole,) = ants(tracked(windows)), ants(tracked(windows, WHOLE))
        for got, true, off_s in (
            (event.start_sample, call[0], event.start_uncertainty_s),
            (event.end_sample, call[1], event.end_uncertainty_s),
        ):
            assert off_s is not None
            assert 0.99 * (hop / 2 + WINDOW / 8) <= off_s * RATE_HZ <= hop / 2 + WINDOW / 4
            assert abs(got - true) <= min(off_s * RATE_HZ, 60)
        assert (whole.start_uncertainty_s, whole.end_uncertainty_s) == (None, None)
        assert whole.start_sample < call[0] - 100
        assert whole.end_sample > call[1] + 100


def test_a_score_that_rises_slowly_says_that_it_tells_little() -> None:
    """As that of a network that averages over its window: half way up is half a window in it."""
    call = (800, 1600)
    windows = []
    for start in range(0, 2500, 50):
        inside = max(min(call[1], start + WINDOW) - max(call[0], start), 0)
        windows.append(judged(start, -8 + 14 * inside / WINDOW))
    (event,) = ants(tracked(windows))
    assert event.start_uncertainty_s is not None
    off = abs(event.start_sample - call[0])
    assert WINDOW / 4 < off <= event.start_uncertainty_s * RATE_HZ


def test_two_calls_far_apart_are_two_events_and_two_close_ones_are_one() -> None:
    far = ants(tracked(list(heard([(500, 1500), (2600, 3700)], 100, 4700))))
    assert [d.start_sample // 100 for d in far] in ([4, 25], [5, 26], [4, 26], [5, 25])
    assert far[0].id != far[1].id
    assert len(ants(tracked(list(heard([(500, 1500), (2600, 3700)], 100, 4700)), WHOLE))) == 2
    near = [(500, 1500), (1750, 2200)]
    assert len(ants(tracked(list(heard(near, 100, 4700))))) == 1
    between = [(500, 1500), (1950, 2200)]  # 4.5 s: within the cool-down by windows, not by calls
    assert len(ants(tracked(list(heard(between, 50, 4700))))) == 2
    assert len(ants(tracked(list(heard(between, 50, 4700)), WHOLE))) == 1


def test_nothing_is_said_of_windows_that_share_little_or_of_what_lasts_all_the_time() -> None:
    sparse = list(heard([(800, 1200)], 200, 2500))
    assert tracked(sparse) == tracked(sparse, WHOLE)
    always = list(heard([(0, 2500)], 50, 2500))
    assert [(d.start_sample, d.end_sample) for d in ants(tracked(always))] == [(0, 2500)]
    begun = list(heard([(0, 1200)], 50, 2500))
    (event,) = ants(tracked(begun))
    assert event.start_sample == 0
    assert event.start_uncertainty_s == WINDOW / RATE_HZ
    assert event.end_sample == pytest.approx(1200, abs=60)


def test_a_long_call_that_is_cut_loses_no_sound() -> None:
    windows = list(heard([(500, 9500)], 50, 10_000))
    found = ants(tracked(windows, TrackerConfig(longest_s=30.0)))
    assert len(found) > 2
    for one, other in itertools.pairwise(found):
        assert other.start_sample <= one.end_sample
    assert found[0].start_sample == pytest.approx(500, abs=60)
    assert found[-1].end_sample == pytest.approx(9500, abs=60)


@pytest.mark.parametrize("cooldown_s", [0.0, 0.2, 3.0])
@pytest.mark.parametrize("hop", [25, 75, 150])
def test_a_call_without_a_pause_is_one_event(hop: int, cooldown_s: float) -> None:
    for end in (510, 560, 700, 1100):
        windows = list(heard([(500, end)], hop, 2000))
        config = TrackerConfig(cooldown_s=cooldown_s)
        assert len(ants(tracked(windows, config))) == len(ants(tracked(windows, WHOLE)))


def test_a_lost_second_does_not_part_a_call() -> None:
    windows = [p for p in heard([(500, 2500)], 50, 3500) if not 900 < p.end_sample < 1350]
    (event,) = ants(tracked(windows))
    assert event.start_sample == pytest.approx(500, abs=60)
    assert event.end_sample == pytest.approx(2500, abs=60)


CALLS = st.lists(st.tuples(st.integers(0, 600), st.integers(5, 500)), max_size=6).map(
    lambda pairs: [
        (sum(a + b for a, b in pairs[:i]) + a, sum(a + b for a, b in pairs[: i + 1]))
        for i, (a, b) in enumerate(pairs)
    ]
)
CONFIGS = st.builds(
    TrackerConfig,
    cooldown_s=st.sampled_from([0.0, 1.0, 3.0, 7.3]),
    longest_s=st.sampled_from([6.0, 60.0]),
    update_s=st.sampled_from([1.0, 10.0]),
)


def assert_lawful(windows: Sequence[Prediction], config: TrackerConfig) -> None:
    """Each event is in windows that have its label, is told once, and none is lost."""
    found = tracked(windows, config)
    whole = tracked(windows, config.model_copy(update={"narrow": False}))
    states: dict[str, list[str]] = {}
    for d in found:
        states.setdefault(d.id, []).append(d.state)
        assert d.start_sample < d.end_sample
    for told in states.values():
        assert (told[0], told[-1]) == ("new", "end")
        assert Counter(told)["new"] == Counter(told)["end"] == 1
    narrowed, loose = ants(found), ants(whole)
    for d in narrowed:
        assert any(w.start_sample <= d.start_sample < d.end_sample <= w.end_sample for w in loose)
        assert any(w.start_sample <= d.peak_sample < w.end_sample for w in loose)
    for w in loose:
        within = [d for d in narrowed if w.start_sample <= d.start_sample < w.end_sample]
        assert within
    assert {d.id for d in loose} & {d.id for d in narrowed} or not loose
    # What is not narrowed is as it was: the unknowns.
    assert [d for d in found if d.label is None] == [d for d in whole if d.label is None]


@settings(max_examples=150, deadline=None)
@given(
    calls=CALLS,
    hop=st.integers(20, 320),
    config=CONFIGS,
    lost=st.sets(st.integers(0, 60), max_size=12),
    noise=st.integers(0, 2**32 - 1),
)
def test_narrowing_keeps_within_the_windows_and_loses_nothing(
    calls: list[Call], hop: int, config: TrackerConfig, lost: set[int], noise: int
) -> None:
    rng = np.random.default_rng(noise)
    clean = list(heard(calls, hop, 3600))
    windows = [
        judged(p.start_sample, float(np.log(p.scores[0] / (1 - p.scores[0]))) + rng.normal(0, 2))
        for i, p in enumerate(clean)
        if i not in lost
    ]
    assert_lawful(windows, config)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0, 0.5),
    parts=st.integers(1, 12),
    hop=st.integers(20, 320),
    config=CONFIGS,
)
def test_frames_that_contradict_each_other_lose_nothing(
    seed: int, share: float, parts: int, hop: int, config: TrackerConfig
) -> None:
    rng = np.random.default_rng(seed)
    windows = [
        judged(start, 3.0 * rng.choice([-1, 1]), active=rng.random((parts, 2)) < share)
        for start in range(0, 3000, hop)
    ]
    assert_lawful(windows, config)


@settings(max_examples=100, deadline=None)
@given(calls=CALLS, hop=st.sampled_from([50, 100, 150, 300]), cooldown_s=st.sampled_from([0.5, 3]))
def test_events_by_frames_are_what_lies_closer_than_the_cool_down(
    calls: list[Call], hop: int, cooldown_s: float
) -> None:
    """All windows have the label; their frames of 0.1 s tell the same wherever a window begins."""
    until = 3600
    timeline = np.zeros(until // 10, np.bool_)
    for start, end in calls:
        timeline[start // 10 : -(-end // 10)] = True
    windows = []
    for start in range(0, until - WINDOW + 1, hop):
        active = np.zeros((WINDOW // 10, 2), np.bool_)
        active[:, 0] = timeline[start // 10 : start // 10 + len(active)]
        windows.append(judged(start, 3.0, active=active))
    config = TrackerConfig(cooldown_s=float(cooldown_s), longest_s=600.0)
    present = np.flatnonzero(timeline)
    pauses = np.flatnonzero((np.diff(present) - 1) * 10 > cooldown_s * RATE_HZ) + 1
    expected = [
        (int(part[0]) * 10, int(part[-1] + 1) * 10)
        for part in np.split(present, pauses)
        if len(part)
    ]
    found = [(d.start_sample, d.end_sample) for d in ants(tracked(windows, config))]
    assert found == (expected or [(0, until)])


def test_two_trills_by_frames_are_two_events() -> None:
    """A recording of 47 s in which every window has the label, and frames the calls alone."""
    windows = []
    for start in range(0, 4400 + 1, 100):
        active = np.zeros((10, 2), np.bool_)
        middles = start + WINDOW // 20 + np.arange(10) * WINDOW // 10
        active[:, 0] = [500 <= m < 1500 or 2600 <= m < 3700 for m in middles]
        windows.append(judged(start, 3.0, active=active))
    found = ants(tracked(windows))
    times = [s for d in found for s in (d.start_s, d.end_s)]
    assert times == pytest.approx([5, 15, 26, 37], abs=0.31)
    assert found[0].start_uncertainty_s == found[0].end_uncertainty_s == 0.3
    (whole,) = ants(tracked(windows, WHOLE))
    assert (whole.start_s, whole.end_s) == (0.0, 47.0)
    assert whole.id == found[0].id


STEPS = st.lists(st.tuples(st.floats(-9, 6), st.integers(0, 12), st.integers(1, 4)), max_size=25)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, hop=st.sampled_from([60, 150, 300]))
def test_events_do_not_depend_on_how_often_a_gap_is_looked_at(
    steps: list[tuple[float, int, int]], hop: int
) -> None:
    """Each step is a window, now and then after some seconds of lost sound."""

    def events(looks: bool | None) -> list[Detection]:
        tracker = Tracker(decision=DECISION, identity="test")
        found, at, last_end = list[Detection](), 0, 0
        for logit, lost_s, parts in steps:
            if lost_s > 6 and last_end:
                until = last_end + (lost_s - 6) * RATE_HZ
                if looks is not None:
                    for part in range(1, parts + 1 if looks else 2):
                        share = part / parts if looks else 1
                        found += tracker.lost(last_end + round((until - last_end) * share))
                at = until
            found += tracker.push(judged(at, logit))
            last_end, at = at + WINDOW, at + hop
        return found + list(tracker.flush())

    often, once, never = events(True), events(False), events(None)
    assert often == once
    assert sorted(often, key=str) == sorted(never, key=str)


def test_the_defaults_of_a_configuration_have_the_digest_they_had() -> None:
    assert TrackerConfig().decisive == {"cooldown_s": 3.0, "longest_s": 60.0, "update_s": 10.0}
    assert TrackerConfig(narrow=False).decisive == TrackerConfig(narrow=False).model_dump()
