"""Predictions become events that start, continue and end in samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detect.decision import Decision, best
from edge.detect.model import NOTHING
from edge.detect.tracker import Tracker, TrackerConfig
from edge.types import Detection, Prediction, SignalHealth

RATE_HZ = 100
WINDOW = 500
LABELS = ("ant", "bee", "cat")
FINE = SignalHealth(
    rms_dbfs=-30.0, peak_dbfs=-20.0, clip_ratio=0.0, dc=0.0, dead=False, stuck=False
)
DEAD = SignalHealth(
    rms_dbfs=-200.0, peak_dbfs=-200.0, clip_ratio=0.0, dc=0.0, dead=True, stuck=False
)


def prediction(start_sample: int, what: str, *, score: float = 0.8) -> Prediction:
    """`what`: a for ant known, A for ant rejected, . for a dead microphone."""
    common: dict[str, Any] = {
        "start_sample": start_sample,
        "end_sample": start_sample + WINDOW,
        "sample_rate_hz": RATE_HZ,
    }
    if what == ".":
        return Prediction(
            **common,
            label=None,
            nearest=None,
            score=0,
            novelty=1,
            top=(),
            health=DEAD,
            scores=NOTHING,
            embedding=NOTHING,
        )
    scores = np.full(3, (1 - score) / 2, np.float32)
    scores["abc".index(what.lower())] = score
    top = best(LABELS, scores)
    known = what.islower()
    return Prediction(
        **common,
        label=top[0].label if known else None,
        nearest=top[0].label,
        score=top[0].score,
        novelty=0.1 if known else 0.9,
        top=top,
        health=FINE,
        scores=scores,
        embedding=np.array([start_sample], np.float32),
    )


def track(story: str, *, hop: int = WINDOW, config: TrackerConfig | None = None) -> list[Detection]:
    tracker = Tracker(decision=Decision(labels=LABELS), identity="test", config=config)
    found = []
    for i, what in enumerate(story):
        found += list(tracker.push(prediction(i * hop, what)))
    return found + list(tracker.flush())


def ended(
    story: str, *, hop: int = WINDOW, config: TrackerConfig | None = None
) -> list[tuple[str | None, int, int]]:
    """Label and bounds, in windows of `hop`, of the events that ended."""
    return [
        (d.label, d.start_sample // hop, d.end_sample // hop)
        for d in track(story, hop=hop, config=config)
        if d.state == "end"
    ]


@pytest.mark.parametrize(
    ("story", "events"),
    [
        ("", []),
        ("a", [("ant", 0, 1)]),
        ("aaa", [("ant", 0, 3)]),
        ("aabb", [("ant", 0, 2), ("bee", 2, 4)]),
        ("A", [(None, 0, 1)]),
        ("aaAA", [("ant", 0, 2), (None, 2, 4)]),
        ("a.a", [("ant", 0, 1), ("ant", 2, 3)]),
        ("A.A", [(None, 0, 1), (None, 2, 3)]),
        ("...", []),
        ("aBa", [("ant", 0, 1), (None, 1, 2), ("ant", 2, 3)]),
    ],
)
def test_windows_that_do_not_overlap(story: str, events: list[tuple[str | None, int, int]]) -> None:
    assert ended(story) == events


def test_one_deviating_window_among_overlapping_ones_makes_no_event() -> None:
    assert ended("AAAaAAA", hop=100) == [(None, 0, 11)]


def test_one_rejected_window_among_overlapping_ones_breaks_no_event() -> None:
    assert ended("aaaAaaa", hop=100) == [("ant", 0, 11)]


def test_a_label_that_comes_back_within_the_cool_down_continues_its_event() -> None:
    # Two windows' worth of silence between the ends of the bees, then six.
    config = TrackerConfig(cooldown_s=10.0)
    assert ended("bAAb", config=config) == [("bee", 0, 4)]
    assert [label for label, *_ in ended("bAAAAAAb", config=config)] == ["bee", None, "bee"]


def test_an_unknown_between_two_species_is_an_event_of_its_own() -> None:
    assert (None, 1, 2) in ended("aCb", config=TrackerConfig(cooldown_s=60.0))


def test_two_species_can_be_open_at_once() -> None:
    assert ended("abab", config=TrackerConfig(cooldown_s=5.0)) == [("ant", 0, 3), ("bee", 1, 4)]


def test_long_events_are_cut() -> None:
    assert ended("aaaaa", config=TrackerConfig(longest_s=10.0)) == [
        ("ant", 0, 2),
        ("ant", 2, 4),
        ("ant", 4, 5),
    ]


def test_an_event_keeps_its_id_from_new_through_update_to_end() -> None:
    found = track("aaaaaa", config=TrackerConfig(update_s=10.0))
    assert [d.state for d in found] == ["new", "update", "update", "end"]
    assert len({d.id for d in found}) == 1
    assert [d.windows for d in found] == [1, 3, 5, 6]


def test_every_event_is_announced_before_it_ends() -> None:
    states: dict[str, list[str]] = {}
    for d in track("aBBa.CcCbA"):
        states.setdefault(d.id, []).append(d.state)
    assert states
    assert all(s[0] == "new" and s[-1] == "end" and s.count("end") == 1 for s in states.values())


def test_ids_are_the_same_in_every_run_and_differ_between_events_and_streams() -> None:
    first, second = track("aaBBcc"), track("aaBBcc")
    assert [d.id for d in first] == [d.id for d in second]
    assert len({d.id for d in first}) == 3
    other = Tracker(decision=Decision(labels=LABELS), identity="another")
    list(other.push(prediction(0, "a")))
    assert {d.id for d in other.flush()}.isdisjoint(d.id for d in first)


def test_an_event_speaks_for_its_peak_window() -> None:
    tracker = Tracker(decision=Decision(labels=LABELS), identity="test")
    for i, score in enumerate((0.5, 0.9, 0.7)):
        list(tracker.push(prediction(i * WINDOW, "b", score=score)))
    (end,) = (d for d in tracker.flush() if d.state == "end")
    assert end.peak_sample == WINDOW
    assert end.score == pytest.approx(0.9)
    assert end.nearest == end.label == end.top[0].label == "bee"
    np.testing.assert_array_equal(end.embedding, [WINDOW])


def test_an_unknown_carries_nearest_label_and_novelty() -> None:
    (end,) = (d for d in track("CC") if d.state == "end")
    assert (end.label, end.nearest, end.novelty) == (None, "cat", 0.9)


def test_windows_across_lost_audio_are_not_smoothed_together() -> None:
    tracker = Tracker(decision=Decision(labels=LABELS), identity="test")
    story = ((0, "A"), (100, "A"), (700, "a"), (1300, "A"))
    found = [d for start, what in story for d in tracker.push(prediction(start, what))] + list(
        tracker.flush()
    )
    assert [
        (d.start_sample, d.end_sample) for d in found if d.label == "ant" and d.state == "end"
    ] == [(700, 1200)]


def test_an_event_ends_when_its_sound_has_been_lost_for_the_cool_down() -> None:
    tracker = Tracker(
        decision=Decision(labels=LABELS), identity="test", config=TrackerConfig(cooldown_s=2.0)
    )
    found = [d for start in (0, 100) for d in tracker.push(prediction(start, "a"))]
    end = 100 + WINDOW
    found += list(tracker.lost(end + 2 * RATE_HZ))
    assert [d.state for d in found] == ["new"]  # it may still come back
    found += list(tracker.lost(end + 2 * RATE_HZ + 1))
    assert [d.state for d in found] == ["new", "end"]
    assert found[-1].end_sample == end
    assert not list(tracker.flush())


STEPS = st.lists(
    st.tuples(st.sampled_from("aAbBcC."), st.integers(0, 12), st.integers(1, 4)),
    min_size=1,
    max_size=12,
)


@given(steps=STEPS)
def test_events_do_not_depend_on_how_often_a_gap_is_looked_at(
    steps: list[tuple[str, int, int]],
) -> None:
    """Each step is a window, after so many seconds of lost sound; nothing else asks in between."""

    def events(looks: bool | None) -> list[Detection]:
        config = TrackerConfig(cooldown_s=3.0)
        tracker = Tracker(decision=Decision(labels=LABELS), identity="test", config=config)
        found, at = list[Detection](), 0
        for what, lost_s, parts in steps:
            if lost_s and looks is not None:
                for part in range(1, parts + 1 if looks else 2):
                    share = part / parts if looks else 1
                    found += list(tracker.lost(at + round(lost_s * RATE_HZ * share)))
            at += lost_s * RATE_HZ
            found += list(tracker.push(prediction(at, what)))
            at += WINDOW
        return found + list(tracker.flush())

    often, once, never = events(True), events(False), events(None)
    assert often == once
    # Without a look the ends come later, and are the same.
    assert sorted(often, key=str) == sorted(never, key=str)
