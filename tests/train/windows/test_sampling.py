"""Where windows are cut and what is true of them: smart crops, marked stretches, secondary labels,
pseudo labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edge.bundle import FrontendSpec
from edge.errors import ConfigError, SpecError, UserError
from edge.files import replacing
from train.corpus.annotations import Stretch
from train.corpus.corpus import Recording, Role
from train.learning.focal import FocalObjective
from train.learning.infer import HeardWindows, hear
from train.learning.losses import binary_focal, focal_of_steps
from train.networks import build_network
from train.networks.segmentation import Segmentation
from train.recipe.recipe import (
    AugmentSpec,
    CropSpec,
    FocalSpec,
    PseudoSpec,
    load_recipe,
    parse_recipe,
)
from train.windows.augment import augment, to_peak_band
from train.windows.batches import Batches, either
from train.windows.cache import ComponentCache
from train.windows.dataset import TrainingWindows
from train.windows.frames import trained_frames
from train.windows.pseudo import SCALE, Heard, PseudoLabels, find_stretches
from train.windows.sampling import Sampling

Array = NDArray[np.float32]
RECIPES = Path(__file__).parents[3] / "config" / "recipes"
# 100 frames a second, windows of 2 s
SIZES = {
    "sample_rate_hz": 8000,
    "window_s": 2.0,
    "n_fft": 160,
    "hop_length": 80,
    "n_mels": 32,
    "fmax_hz": 4000.0,
}
SPEC = FrontendSpec.parse({**SIZES, "channels": [{"component": "mel", "level": {"kind": "max"}}]})
LABELS = ("a", "b", "c")
Make = Callable[..., TrainingWindows]


def recording(name: str, seconds: float, role: Role = "known", **more: Any) -> Recording:
    return Recording(
        path=Path(f"/x/{name}.wav"),
        role=role,
        label=name[0],
        recording=name,
        seconds=seconds,
        sha256=name * 12,
        **more,
    )


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Training windows of recordings whose components say which frame they are: band 0 rises by
    0.01 dB a frame.
    """

    def build(recordings: list[Recording], **sampling: Any) -> TrainingWindows:
        cache = ComponentCache(folder=tmp_path / "cache", spec=SPEC)
        for r in recordings:
            frames = 1 + int(max(r.seconds, SPEC.window_s) * 100)
            components = np.full((1, 32, frames), -60, np.float16)
            components[0, :, 0 : frames // 2] = -20  # heard in the first half
            components[0, 0] = np.arange(frames) % 1000 / 100
            with replacing(cache.path(r)) as staged:
                np.save(staged, components)
        return TrainingWindows(
            recordings, cache=cache, labels=LABELS, sampling=Sampling(**sampling)
        )

    return build


def frames_of(power: Array) -> NDArray[np.int64]:
    """The frames of a recording that a window was cut from."""
    frames: NDArray[np.int64] = np.round(10 * np.log10(power[0, 0]) * 100).astype(np.int64)
    return frames


def others() -> list[Recording]:
    return [recording("b1", 4), recording("c1", 4)]


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
    whole = HeardWindows(
        features=np.zeros((7, 1, 32, 2), np.float32), start_s=starts, active=np.ones(7, bool)
    )
    with replacing(tmp_path / f"windows-{SPEC.digest[:16]}-1" / f"{one.sha256}.npz") as staged:
        np.savez(staged, **dataclasses.asdict(whole))
    assert hear(one, spec=SPEC, hop_s=1, cache=tmp_path).active.tolist() == [
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


def pseudo_of(folder: Path, stretches: dict[Recording, list[Heard]]) -> PseudoLabels:
    pseudo = PseudoLabels(folder=folder, labels=LABELS)
    for r, heard in stretches.items():
        pseudo.write(r, heard)
    return pseudo


def heard(label: str, start_s: float, end_s: float, state: Any) -> Heard:
    return Heard(label=label, start_s=start_s, end_s=end_s, state=state, score=0.5)


def test_windows_hold_a_call_that_was_heard_and_say_when(make: Make, tmp_path: Path) -> None:
    one, (b, c) = recording("a1", 8, secondary_labels=("b", "c")), others()
    listed = [
        heard("a", 5, 5.5, "present"),
        heard("a", 5.5, 6, "unsure"),
        heard("b", 5.2, 9, "unsure"),
    ]
    pseudo = pseudo_of(tmp_path, {one: listed, b: [], c: [heard("c", 0, 3.9, "present")]})
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
    pseudo = pseudo_of(tmp_path, {one: [heard("a", 0, 4, "present")], **{r: [] for r in others()}})
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
            one: [heard("a", 7, 7.1, "unsure")],
            **{r: [heard(r.label, 0, 4, "unsure")] for r in others()},
        },
    )
    windows, rng = make([one, *others()], pseudo=pseudo), np.random.default_rng(0)
    for _ in range(50):
        frames = frames_of(windows.interference(rng)) % 1000
        assert frames[-1] < 720 or frames[0] > 690


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


def test_the_loss_of_steps_is_that_of_windows_without_what_is_unsure() -> None:
    logits = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    targets = (torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(1)) > 0.7).float()
    assert float(focal_of_steps(logits, targets, 2)) == pytest.approx(
        float(binary_focal(logits.flatten(0, 1), targets.flatten(0, 1), 2))
    )
    targets[1:] = torch.nan
    logits.requires_grad_()
    focal_of_steps(logits, targets, 2).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0].abs().min() > 0
    assert not logits.grad[1:].any(), "what is unsure moves nothing"
    nothing = focal_of_steps(logits, torch.full_like(targets, torch.nan), 2)
    assert float(nothing.detach()) == 0


def segmentation() -> Segmentation:
    size = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "cardinality": 1, "base_width": 64}
    torch.manual_seed(0)
    network = build_network(
        "segmentation", {"width": 16, "heads": 2, "size": size}, shape=SPEC.shape, classes=3
    )
    assert isinstance(network, Segmentation)
    return network


def test_the_loss_is_in_equal_parts_of_windows_and_of_steps(make: Make, tmp_path: Path) -> None:
    recordings = [recording("a1", 4), *others()]
    pseudo = pseudo_of(tmp_path, {r: [heard(r.label, 0, 3, "present")] for r in recordings})
    batches, losses = Batches(make(recordings, pseudo=pseudo), AugmentSpec()), {}
    for weight in (1e-9, 0.5, 1.0):
        spec = FocalSpec(batch=2, frame_weight=weight)
        objective = FocalObjective(spec, batches, torch.device("cpu"), told=batches.windows.told)
        losses[weight] = objective.iterate(
            segmentation().train(), torch.autograd.backward, np.random.default_rng(3)
        )
    assert losses[1.0]["loss"] == pytest.approx(losses[1.0]["loss_of_steps"])
    assert losses[0.5]["loss"] == pytest.approx(
        (losses[1e-9]["loss"] + losses[1.0]["loss"]) / 2, rel=1e-4
    )
    first = objective.state()
    pseudo.write(recordings[0], [])
    changed = FocalObjective(
        spec, batches, torch.device("cpu"), told=make(recordings, pseudo=pseudo).told
    )
    with pytest.raises(
        ConfigError, match="the pseudo labels were changed after this training began"
    ):
        changed.restore(first)
    objective.restore(first)


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
    scores[2:4, 0], scores[4, 0], scores[6:, 2] = 0.9, 0.3, 0.8
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
        ("a,zero,1,present,0.5", "column start_s: 'zero' is no number"),
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


S5: dict[str, Any] = {
    "name": "s5",
    "frontend": {"n_mels": 32, "channels": [{"component": "mel", "level": {"kind": "max"}}]},
    "network": {"kind": "segmentation"},
    "objective": {"kind": "focal", "frame_weight": 0.5},
    "pseudo": {},
    "steps": 10,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"network": {"kind": "resnest50"}},
            "pseudo: network resnest50 with objective focal has no time steps to label",
        ),
        (
            {"objective": {"kind": "cross_entropy"}},
            "with objective cross_entropy has no time steps",
        ),
        ({"pseudo": None}, "objective.frame_weight needs labels in time: add a pseudo section"),
        (
            {"pseudo": {"present": 0.2, "absent": 0.3}},
            "pseudo: absent 0.3 and present 0.2: need 0 < absent < present < 1",
        ),
        ({"pseudo": {"presnt": 0.2}}, "pseudo: unknown key 'presnt'"),
        ({"crop": {}}, "pseudo and crop both say where windows start"),
        (
            {"augment": {"time_shift_share": 0.5}},
            "augment.time_shift_share would part sound from its pseudo label",
        ),
        ({"augment": {"stretch": 0.1}}, "augment.stretch would part"),
        ({"augment": {"masks": 1}}, "augment.masks would part"),
        ({"augment": {"animals_share": 1.5}}, "animals_share: 1.5 is outside 0..1"),
        (
            {"objective": {"kind": "focal", "secondary": 2}},
            "objective: secondary: 2 is outside 0..1",
        ),
        (
            {"frontend": {**S5["frontend"], "frames": 100}},
            "pseudo: frontend.stack and frontend.frames change",
        ),
        ({"head_rate": 0}, "head_rate: 0 is outside 0..1000"),
        ({"crop": {"ends_share": 2}}, "crop: ends_share: 2 is outside 0..1"),
        ({"crop": {"shift_s": [2, 1]}}, r"crop: shift_s: \[2, 1\] is no range of seconds"),
        ({"crop": {"shift_s": []}}, r"crop: shift_s: \[\] is no range of seconds"),
        ({"crop": {"longest_s": 600}}, "crop: longest_s: 600 is outside 0..90"),
    ],
)
def test_a_wrong_key_is_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as error:
        parse_recipe({**S5, **change}, where="s5.yaml")
    assert "\n" not in str(error.value)


def test_keys_that_change_nothing_leave_a_checkpoint_its_recipe() -> None:
    plain = {**S5, "objective": {"kind": "focal"}, "pseudo": None}
    neutral = {
        "head_rate": 1.0,
        "crop": None,
        "objective": {"kind": "focal", "secondary": 0.0},
        "augment": {"animals_share": 0.0},
    }
    assert (
        parse_recipe(plain, where="").digest == parse_recipe({**plain, **neutral}, where="").digest
    )
    # as it was before there were such keys
    assert (
        parse_recipe(plain, where="").digest
        == "33caa629ca4910bc7d8df1f3ba8a8bbd2eb058c251d96681eb89019249d857c5"
    )
    changes: list[dict[str, Any]] = [
        {"head_rate": 2},
        {"crop": {}},
        {"objective": {"kind": "focal", "secondary": 0.9}},
    ]
    for change in changes:
        assert (
            parse_recipe({**plain, **change}, where="").digest
            != parse_recipe(plain, where="").digest
        )


def test_the_steps_recipes_follow_each_other() -> None:
    train, segment, shift = (
        load_recipe(RECIPES / f"s5-{name}.yaml") for name in ("segmentation", "segment", "shift")
    )
    assert (
        train.pseudo,
        train.head_rate,
        train.augment.mixup_alpha,
        train.augment.coloured_share,
    ) == (
        None,
        10,
        4.5,
        0.5,
    )
    assert shift.learning_rate == segment.learning_rate / 2 == train.learning_rate / 2
    assert train.network == segment.network == shift.network
    assert shift.augment.animals_share > 0
    assert not segment.augment.noise_share
    assert load_recipe(RECIPES / "s5-classification.yaml").crop == CropSpec()
