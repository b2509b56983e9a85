"""Events against marked ones: by hand, and against every way to match them."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from train.judging.event_scores import Span, measure_events, merged


def span(label: str, start: float, end: float, recording: int = 0) -> Span:
    return Span(recording=recording, label=label, start_s=start, end_s=end)


def scores(marked: list[Span], found: list[Span], seconds: float = 60) -> dict[str, Any]:
    count = 1 + max(s.recording for s in [*marked, *found])
    rows = measure_events(marked, found, [seconds] * count, resamples=10)
    names = ("precision", "recall", "f1")
    return {row["counted"]: tuple(row[name]["value"] for name in names) for row in rows}


def test_onset_and_offset_have_collars_and_the_offset_half_of_the_length() -> None:
    marked = [span("a", 10, 20)]
    for late, early, on, both in [
        (0.2, 4.9, 1, 1),  # the offset may be off by 5 s of 10
        (0.2, 5.1, 1, 0),
        (0.3, 0.0, 0, 0),
        (-0.25, 0.0, 1, 1),
    ]:
        found = scores(marked, [span("a", 10 + late, 20 - early)])
        assert found["onset within 0.25 s"] == (on,) * 3
        assert found["onset and offset within 0.25 s"] == (both,) * 3
    short = scores([span("a", 10, 10.2)], [span("a", 10, 10.4)])
    assert short["offset within 0.25 s"] == (1, 1, 1)


def test_overlap_is_a_share_of_the_union() -> None:
    marked = [span("a", 0, 3)]
    assert scores(marked, [span("a", 0, 10)])["overlap"] == (1, 1, 1)
    assert scores(marked, [span("a", 0, 10.1)])["overlap"] == (0, 0, 0)
    assert scores(marked, [span("a", 3, 6)])["overlap"] == (0, 0, 0)
    assert scores(marked, [span("b", 0, 3)])["overlap"] == (0, 0, 0)
    assert scores(marked, [span("a", 0, 3, recording=1)])["overlap"] == (0, 0, 0)


def test_segments_are_counted_once_whatever_is_in_them() -> None:
    marked = [span("a", 0.5, 2.5), span("b", 1, 2)]
    found = [span("a", 1.2, 1.4), span("a", 1.6, 3.5)]
    # a is marked in segments 0, 1, 2 and found in 1, 2, 3; b is marked in 1.
    assert scores(marked, found)["segments of 1 s"] == pytest.approx(
        (2 / 3, 2 / 4, 4 / 7), abs=1e-4
    )


@pytest.mark.parametrize("seed", range(20))
def test_as_many_are_matched_as_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, theirs = (
        [span("a", s, s + rng.uniform(0.5, 3)) for s in rng.uniform(0, 4, n)] for n in (5, 4)
    )
    for name, agree in {"onset within 1 s": near, "overlap": overlap}.items():
        most = max(
            sum(agree(m, f) for m, f in zip(order, theirs, strict=False))
            for order in permutations(own)
        )
        assert scores(own, theirs)[name] == pytest.approx(
            (most / 4, most / 5, 2 * most / 9), abs=1e-4
        )


def near(marked: Span, found: Span) -> bool:
    return abs(marked.start_s - found.start_s) <= 1


def overlap(marked: Span, found: Span) -> bool:
    common = min(marked.end_s, found.end_s) - max(marked.start_s, found.start_s)
    both = max(marked.end_s, found.end_s) - min(marked.start_s, found.start_s)
    return common > 0 and common >= 0.3 * both


def test_marks_of_one_species_that_overlap_are_one_event() -> None:
    spans = [span("a", 5, 8), span("a", 0, 6), span("b", 1, 2), span("a", 8, 9), span("a", 1, 2, 1)]
    assert merged(spans) == [span("a", 0, 8), span("a", 8, 9), span("b", 1, 2), span("a", 1, 2, 1)]


def test_nothing_marked_or_nothing_found_has_no_score_or_0() -> None:
    found = scores([], [span("a", 0, 1)])["overlap"]
    assert found == (0, None, 0)
    assert scores([span("a", 0, 1)], [])["overlap"] == (None, 0, 0)
