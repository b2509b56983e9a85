"""Pseudo labels: written, read, drawn with windows, and at the right time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import UserError
from tests.train.numbered import (
    LABELS,
    SPEC,
    Make,
    frames_of,
    others,
    pseudo_of,
    recording,
    segmentation,
    stretch,
)
from train.corpus.annotations import Stretch
from train.networks.segmentation import SCALE
from train.recipe.sections import PseudoSpec
from train.windows.batches import either
from train.windows.pseudo import find_stretches


def test_windows_hold_a_call_that_was_heard_and_say_when(make: Make, tmp_path: Path) -> None:
    one, (b, c) = recording("a1", 8, secondary_labels=("b", "c")), others()
    listed = [
        stretch("a", 5, 5.5, "present"),
        stretch("a", 5.5, 6, "unsure"),
        stretch("b", 5.2, 9, "unsure"),
    ]
    pseudo = pseudo_of(tmp_path, {one: listed, b: [], c: [stretch("c", 0, 3.9, "present")]})
    windows, rng = make([one, b, c], secondary=0.995, pseudo=pseudo), np.random.default_rng(0)
    for _ in range(50):
        drawn = windows.labelled(rng, 0)
        frames = frames_of(drawn.power)
        assert frames[0] <= 500
        assert frames[-1] >= 549, "all of the call is inside"
        assert drawn.labels == pytest.approx([1, 0.995, 0]), "c is heard nowhere"
        times = frames[::SCALE] / 100
        expected = np.zeros((7, 3))
        expected[(times >= 5) & (times < 5.5), 0] = 1
        expected[(times >= 5.5) & (times < 6), 0] = np.nan
        expected[times >= 5.2, 1] = np.nan
        assert drawn.steps is not None
        assert np.array_equal(drawn.steps, expected, equal_nan=True)
    inside_call = windows.labelled(rng, 2)
    assert inside_call.steps is not None
    assert (inside_call.steps[:, 2] == 1).mean() > 0.8


def test_a_pause_that_a_person_marked_is_above_a_pseudo_label(make: Make, tmp_path: Path) -> None:
    one = recording("a1", 4, stretches=(Stretch(kind="nocall", start_s=0, end_s=1),))
    pseudo = pseudo_of(
        tmp_path, {one: [stretch("a", 0, 4, "present")], **{r: [] for r in others()}}
    )
    windows, rng = make([one, *others()], pseudo=pseudo), np.random.default_rng(0)
    for _ in range(30):
        drawn = windows.labelled(rng, 0)
        assert drawn.steps is not None
        assert (drawn.steps[:, 0] == (frames_of(drawn.power)[::SCALE] > 100)).all()


def test_a_pause_under_other_windows_holds_no_call_that_was_heard(
    make: Make, tmp_path: Path
) -> None:
    """The second half of the recording is quiet, but the network heard a call in it."""
    one = recording("a1", 10)
    quiet = make([one, *others()])
    assert quiet.has_outliers
    pseudo = pseudo_of(
        tmp_path,
        {
            one: [stretch("a", 7, 7.1, "unsure")],
            **{r: [stretch(r.label, 0, 4, "unsure")] for r in others()},
        },
    )
    windows, rng = make([one, *others()], pseudo=pseudo), np.random.default_rng(0)
    for _ in range(50):
        frames = frames_of(windows.interference(rng)) % 1000
        assert frames[-1] < 720 or frames[0] > 690


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (1, 0, 1),
        (0, 0, 0),
        (np.nan, 0, np.nan),
        (1, np.nan, 1),
        (np.nan, np.nan, np.nan),
        (1, 1, 1),
    ],
)
def test_steps_of_a_mixture(one: float, other: float, both: float) -> None:
    for first, second in ((one, other), (other, one)):
        mixed = either(np.array([[first]], np.float32), np.array([[second]], np.float32))
        assert mixed is not None
        assert mixed.tolist() == [[pytest.approx(both, nan_ok=True)]]
    assert either(None, np.zeros((1, 1), np.float32)) is None


def test_a_time_step_of_the_network_is_where_the_labels_say() -> None:
    network = segmentation().eval()
    quiet = torch.zeros(1, 1, 32, 640)
    click = quiet.clone()
    click[..., 320] = 5.0
    with torch.no_grad():
        moved = [(network.compress(network.trunk(x)).squeeze(2)) for x in (quiet, click)]
    change = (moved[1] - moved[0]).abs().sum(dim=1)[0]
    assert network.frame_logits(quiet).shape[1] == -(-640 // SCALE)
    assert int(change.argmax()) == 320 // SCALE


def test_scores_become_stretches_that_a_person_can_read(tmp_path: Path) -> None:
    one = recording("a1", 3.0, secondary_labels=("b",))
    scores = np.zeros((10, 3), np.float32)
    scores[2:4, 0] = 0.9
    scores[4, 0] = 0.3
    scores[6:, 2] = 0.8
    found = find_stretches(
        scores, one, labels=LABELS, spec=SPEC, pseudo=PseudoSpec(present=0.5, absent=0.1)
    )
    rows = [(h.label, round(h.start_s, 3), round(h.end_s, 3), h.state) for h in found]
    assert rows == [
        ("a", 0, 0.48, "absent"),
        ("a", 0.48, 1.12, "present"),
        ("a", 1.12, 1.44, "unsure"),
        ("a", 1.44, 3.0, "absent"),
        ("b", 0, 3.0, "absent"),
        ("c", 1.76, 3.0, "unsure"),  # the recording does not name it
    ]
    pseudo = pseudo_of(tmp_path, {one: found})
    assert pseudo.read(one)[1] == dataclasses.replace(found[1], start_s=0.48, end_s=1.12, score=0.9)
    assert np.isnan(pseudo.targets(one, SPEC, 301)[2][176:]).all(), "to the very end"
    scores[:, 0] = 0.01
    own = find_stretches(scores, one, labels=LABELS, spec=SPEC, pseudo=PseudoSpec())[0]
    assert (own.state, own.end_s) == ("unsure", 3.0), "its author heard it somewhere"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("owl,0,1,present,0.5", "column label: 'owl' is none of the species"),
        ("a,0,1,perhaps,0.5", "column state: 'perhaps' is none of present, absent, unsure"),
        ("a,zero,1,present,0.5", "column start_s: 'zero' is not a number"),
        (
            "a,2,1,present,0.5",
            "column end_s: a stretch starts at 0 or later and ends after its start",
        ),
        ("a,nan,1,present,0.5", "column end_s: a stretch starts"),
        ("a,1", "the line has 2 cells, the header 5"),
    ],
)
def test_a_label_that_was_spoilt_by_hand_is_one_line(line: str, said: str, tmp_path: Path) -> None:
    one = recording("a1", 3.0)
    pseudo = pseudo_of(tmp_path, {one: []})
    with pseudo.path(one).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=said) as error:
        pseudo.read(one)
    assert str(error.value).startswith(f"{pseudo.path(one)}, line 2, column ")
