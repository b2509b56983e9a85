"""Where windows are cut and what is true of them: crops, marked stretches, secondary labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge.errors import UserError
from edge.files import replacing
from tests.train.numbered import (
    SPEC,
    Make,
    frames_of,
    others,
    recording,
)
from train.corpus.annotations import Stretch
from train.learning.infer import CutWindows, windows_of
from train.recipe.augmentation import AugmentSpec
from train.recipe.sections import CropSpec
from train.windows.augment import augment, to_peak_band
from train.windows.batches import Batches
from train.windows.frames import trained_frames


def test_a_smart_crop_is_at_an_end_or_where_something_is_heard(make: Make) -> None:
    windows = make(
        [recording("a1", 8), *others()],
        crop=CropSpec(ends_share=0.5, shift_s=(0.0, 0.5), longest_s=60),
    )
    rng = np.random.default_rng(0)
    starts = np.array([frames_of(windows.known(rng, 0))[0] for _ in range(300)])
    last = 801 - SPEC.component_frames
    assert starts.max() == last, "the end of the file"
    late = starts[starts > 500]
    assert (late >= last - 50).all(), "up to half a second inwards"
    assert 0.15 < len(late) / len(starts) < 0.35, "half of the half"
    only_heard = make([recording("a1", 8), *others()])
    assert max(frames_of(only_heard.known(rng, 0))[0] for _ in range(100)) < 500, (
        "nothing is heard at the end"
    )


def test_smart_crops_leave_out_what_is_long_unless_there_is_no_other(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    windows = make(
        [recording("a1", 8), recording("a2", 3), recording("b1", 8), recording("c1", 3)],
        crop=CropSpec(longest_s=5),
    )
    rng = np.random.default_rng(0)
    assert max(frames_of(windows.known(rng, 0)).max() for _ in range(50)) <= 300
    assert max(frames_of(windows.known(rng, 1))[0] for _ in range(50)) < 500, (
        "the ends of a long recording are not taken"
    )
    assert [record.message for record in caplog.records] == [
        "b has no recording of up to 5 s: its longer ones are kept"
    ]


def test_speech_is_cut_out_of_training(make: Make) -> None:
    speech = (Stretch(kind="human_voice", start_s=1.0, end_s=3.0),)
    windows = make([recording("a1", 8, stretches=speech), *others()], crop=CropSpec(ends_share=0.9))
    rng = np.random.default_rng(0)
    heard = set(np.concatenate([frames_of(windows.known(rng, 0)) for _ in range(200)]).tolist())
    assert heard.isdisjoint(range(99, 302)), "a frame reaches a hundredth of a second to both sides"
    assert {98, 302} <= heard


def test_what_speech_leaves_of_a_short_recording_is_repeated(make: Make) -> None:
    short = recording("a1", 1.5, stretches=(Stretch(kind="human_voice", start_s=0.0, end_s=0.5),))
    kept = trained_frames(short, SPEC, 201)
    assert len(kept) == SPEC.component_frames
    assert set(kept.tolist()) == set(range(52, 150)), (
        "from 1.5 s on it is the beginning again, which is speech"
    )
    assert make([short, *others()]).known(np.random.default_rng(0), 0).shape == (
        1,
        32,
        SPEC.component_frames,
    )


def test_a_species_of_which_only_speech_is_there_is_one_line(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    all_speech = recording(
        "a1", 4, stretches=(Stretch(kind="human_voice", start_s=0.0, end_s=3.8),)
    )
    assert (
        make([all_speech, recording("a2", 4), *others()])
        .known(np.random.default_rng(0), 0)
        .shape[0]
        == 1
    )
    assert "/x/a1.wav: is left out, nearly all of it is marked as human_voice" in caplog.text
    with pytest.raises(UserError, match="species 'a': nothing is left of its training recordings"):
        make([all_speech, *others()])


def test_a_window_inside_a_marked_pause_has_no_label_and_is_kept(make: Make) -> None:
    pause = (Stretch(kind="nocall", start_s=0.0, end_s=3.0),)
    windows = make([recording("a1", 8, stretches=pause), *others()], secondary=0.995)
    rng = np.random.default_rng(0)
    drawn = [windows.labelled(rng, 0) for _ in range(300)]
    inside = [frames_of(d.power)[-1] <= 300 for d in drawn]
    assert 20 < sum(inside) < 200
    assert [d.labels.tolist() for d in drawn] == [
        [0, 0, 0] if silent else [1, 0, 0] for silent in inside
    ]
    _, targets, classes = Batches(windows, AugmentSpec()).classification(rng, 200, 0.0)
    assert ((targets[:, -1] == 1) == (classes == -1)).all(), "it is 'other', of no class"
    assert (targets[:, -1] == 1).any()
    assert all(frames_of(windows.known(rng, 0))[-1] > 300 for _ in range(50)), (
        "triplets are of windows with the species"
    )


def test_pauses_and_speech_are_not_judged_as_the_species(tmp_path: Path) -> None:
    marked = (
        Stretch(kind="nocall", start_s=0.0, end_s=3.0),
        Stretch(kind="human_voice", start_s=5.0, end_s=6.0),
    )
    one = recording("a1", 8, stretches=marked)
    starts = np.arange(7.0)
    whole = CutWindows(
        features=np.zeros((7, 1, 32, 2), np.float32), start_s=starts, active=np.ones(7, bool)
    )
    with replacing(tmp_path / f"windows-{SPEC.digest[:16]}-1" / f"{one.sha256}.npz") as staged:
        np.savez(staged, **dataclasses.asdict(whole))
    assert windows_of(one, spec=SPEC, hop_s=1, cache=tmp_path).active.tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
        True,
    ]


def test_secondary_labels_are_nearly_true_and_a_mixture_has_those_of_both(make: Make) -> None:
    windows = make(
        [recording("a1", 4, secondary_labels=("c", "stranger")), *others()], secondary=0.995
    )
    rng = np.random.default_rng(0)
    assert windows.labelled(rng, 0).labels == pytest.approx([1, 0, 0.995])
    assert make([recording("a1", 4, secondary_labels=("c",)), *others()]).labelled(
        rng, 0
    ).labels.tolist() == [1, 0, 0]
    _, labels, steps = Batches(windows, AugmentSpec(mixup_share=1.0)).labelled(rng, 200, 0.0)
    assert steps is None
    rows = {tuple(round(float(label), 3) for label in row) for row in labels}
    assert rows == {(1, 0, 0.995), (1, 1, 0.995), (1, 0, 1), (0, 1, 0), (0, 1, 1), (0, 0, 1)}


def test_other_animals_are_mixed_under_windows(make: Make) -> None:
    windows = make([recording("a1", 4), *others(), recording("x1", 4, role="unknown")])
    power = windows.known(np.random.default_rng(0), 0)
    spec = AugmentSpec(animals_share=1.0, animals_snr_db=(0.0, 0.0))
    mixed = augment(power, spec=spec, windows=windows, rng=np.random.default_rng(1))
    rng = np.random.default_rng(1)
    rng.random()  # of recorded noise
    rng.random()
    assert mixed == pytest.approx(to_peak_band(power) + to_peak_band(windows.animal(rng)))
    alone = make([recording("a1", 4), *others()])
    assert np.array_equal(
        augment(power, spec=spec, windows=alone, rng=np.random.default_rng(1)), power
    ), "there are none"
