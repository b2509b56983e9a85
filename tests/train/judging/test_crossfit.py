"""No event that a probability rests on is of a recording that its system has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.bundle.heads import Head, MaxLogit
from edge.errors import UserError
from train.corpus.corpus import Corpus, Recording
from train.corpus.splits import SplitPlan, group_of, split_recordings
from train.judging.calibration import Calibration
from train.judging.crossfit import held_out_events
from train.windows.outputs import WindowOutputs

LABELS = ("ant", "bee", "cat")


def corpus_of(people: int = 12, *, folds: int = 5) -> Corpus:
    """Each of so many people has recorded each label, and one of them another, alone."""
    recordings = [
        Recording(path=Path(f"{label}{i}.wav"), role="known", label=label, recordist=f"Person {i}")
        for i in range(people)
        for label in LABELS
    ]
    alone = Recording(path=Path("dog.wav"), role="known", label="dog", recordist="Person 3")
    hiss = [Recording(path=Path(f"h{i}.wav"), role="noise", label="hiss") for i in range(12)]
    split = split_recordings([*recordings, alone, *hiss], SplitPlan(folds=folds))
    return Corpus(root=Path(), recordings=split)


def outputs_of(corpus: Corpus) -> WindowOutputs:
    """One window of each recording of dev, whose best logit is that of its label."""
    chosen = [i for i, r in enumerate(corpus.recordings) if r.split == "dev" and r.label in LABELS]
    logits = [[4.0 * (corpus.recordings[i].label == label) for label in LABELS] for i in chosen]
    return WindowOutputs(
        recording=np.array(chosen),
        start_s=np.zeros(len(chosen)),
        active=np.ones(len(chosen), bool),
        embedding=np.zeros((len(chosen), 2), np.float32),
        logits=np.array(logits, np.float32),
        labels=LABELS,
    )


def calibration() -> Calibration:
    head = Head(activation="softmax", rule=MaxLogit(), threshold=0.0, scale=1.0)
    return Calibration(
        labels=LABELS,
        activation="softmax",
        acceptance=0.95,
        chosen="max_logit",
        heads={"max_logit": head},
        table=(),
    )


def test_thresholds_are_chosen_without_the_recordists_who_are_heard() -> None:
    corpus = corpus_of()
    outputs = outputs_of(corpus)
    seen: list[set[int]] = []

    def calibrated(windows: WindowOutputs) -> Calibration:
        seen.append(set(windows.recording.tolist()))
        return calibration()

    events = held_out_events(corpus, outputs, calibrated, window_s=3.0)
    assert sorted(events.recording) == sorted(outputs.recording)
    assert events.right.all()
    people = [group_of(r) for r in corpus.recordings]
    everybody = {people[i] for i in outputs.recording}
    left_out = [everybody - {people[i] for i in recordings} for recordings in seen]
    assert set().union(*left_out) == everybody
    assert sum(map(len, left_out)) == len(everybody)


def test_a_part_without_which_nothing_can_be_chosen_is_left_out() -> None:
    corpus = corpus_of()

    def calibrated(windows: WindowOutputs) -> Calibration:
        raise UserError("nothing to choose against")

    assert len(held_out_events(corpus, outputs_of(corpus), calibrated, window_s=3.0)) == 0


@pytest.mark.parametrize("secondary", [(), ("bee",)])
def test_what_an_author_heard_in_the_background_is_right(secondary: tuple[str, ...]) -> None:
    recording = Recording(
        path=Path("a.wav"),
        role="known",
        label="ant",
        recordist="A",
        secondary_labels=secondary,
        split="dev",
        fold=0,
    )
    corpus = Corpus(root=Path(), recordings=(recording,))
    windows = WindowOutputs(
        recording=np.zeros(1, np.int64),
        start_s=np.zeros(1),
        active=np.ones(1, bool),
        embedding=np.zeros((1, 2), np.float32),
        logits=np.array([[0.0, 4.0, 0.0]], np.float32),
        labels=LABELS,
    )
    from train.judging.events import events_in

    events = events_in(corpus, windows, calibration().head, window_s=3.0)
    assert events.right.tolist() == [bool(secondary)]
