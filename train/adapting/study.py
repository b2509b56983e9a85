"""A study: its recordings with their split and exact times, and what a trunk says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Label
from edge.bundle.top import Top
from edge.errors import UserError
from train.adapting.answers import Answers, answers_of_all
from train.adapting.blank import blank_top
from train.adapting.gathering import gather
from train.adapting.marks import Marks, denied
from train.adapting.targets import NONE, is_not
from train.adapting.windows import holding
from train.corpus.corpus import Corpus, Recording
from train.corpus.further import split_all
from train.corpus.splits import SplitPlan
from train.corpus.synthesised import with_noise
from train.windows.listening import Watch
from train.windows.outputs import WindowOutputs

__all__ = ["Heard", "Means", "Study", "gather_study", "hear"]


@dataclass(frozen=True, kw_only=True)
class Means:
    """How a head is made: windows every `hop_s`, heard by `workers` processes and kept in `cache`;
    `head` is a kind of top or `best`; the rule of rejection lets `acceptance` of the known windows
    of validation pass; the report of the test goes into `report_dir`.
    """

    hop_s: float
    workers: int
    cache: Path
    head: str
    acceptance: float
    report_dir: Path


@dataclass(frozen=True, kw_only=True)
class Study:
    """Recordings, when they have their labels, and what is to be said of them."""

    corpus: Corpus
    marks: Marks
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The labels, in the order of the logits."""
        return [label.label for label in self.corpus.labels]

    def with_recordings(
        self, added: Sequence[Recording], marks: Marks, notes: Sequence[str] = ()
    ) -> Study:
        """Return the study with more recordings, which have their split already."""
        recordings = (*self.corpus.recordings, *added)
        return Study(
            corpus=Corpus(root=self.corpus.root, recordings=recordings),
            marks=self.marks.joined(marks),
            notes=(*self.notes, *notes),
        )


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A study with what its trunk says of W windows; `blank` is the top that has learnt nothing.

    `answers.active` are the windows that are judged as what their recording is labelled with: those
    of its marked stretches, else those in which something is heard. `exact` (W,) are those of
    recordings with stretches, `elsewhere` (W,) those that are marked as something else.
    """

    study: Study
    trunk: Bundle
    labels: tuple[Label, ...]
    blank: Top
    answers: Answers
    exact: NDArray[np.bool_]
    elsewhere: NDArray[np.bool_]
    faults: tuple[tuple[str, str], ...]

    @cached_property
    def species(self) -> NDArray[np.int64]:
        """What each window (W,) is if its recording's label is right for it."""
        positions = {name: k for k, name in enumerate(self.study.names)}
        of_recording = np.array(
            [_position(r, positions) for r in self.study.corpus.recordings], np.int64
        )
        result: NDArray[np.int64] = of_recording[self.answers.recording]
        return result

    @cached_property
    def chosen(self) -> NDArray[np.bool_]:
        """Which windows (W,) are taken as what their recording is labelled with."""
        animals = self.of(lambda r: r.role in ("known", "unknown"))
        weak = holding(self.answers, np.maximum(self.species, NONE), animals, self.blank)
        result: NDArray[np.bool_] = np.where(self.exact, self.answers.active, weak)
        return result & ~self.elsewhere

    def of(self, part: Callable[[Recording], bool]) -> NDArray[np.bool_]:
        """Return which windows (W,) are of the recordings that `part` is true of."""
        mask = np.array([part(r) for r in self.study.corpus.recordings], bool)
        result: NDArray[np.bool_] = mask[self.answers.recording]
        return result

    def outputs(
        self, mask: NDArray[np.bool_], top: Top, labels: Sequence[str] | None = None
    ) -> WindowOutputs:
        """Return what a top says of some windows, as judging takes it.

        `labels` are the top's own, where they are not the study's.
        """
        answers = self.answers.select(mask)
        looked_at, logits = top(answers.embedding, answers.logits.astype(np.float32))
        return WindowOutputs(
            recording=answers.recording,
            start_s=answers.start_s,
            active=answers.active,
            embedding=looked_at,
            logits=logits,
            labels=tuple(self.study.names if labels is None else labels),
        )


def _position(recording: Recording, positions: dict[str, int]) -> int:
    if recording.role == "known":
        return positions[recording.label]
    return is_not(positions[name]) if (name := denied(recording)) in positions else NONE


def gather_study(sources: Sequence[Path], cache: Path, *, workers: int) -> Study:
    """Return the usable recordings of the collections, split by recordist; raises `UserError`."""
    first, *further = (gather(source, workers=workers) for source in sources)
    everything = [r for one in (first, *further) for r in one.recordings]
    known = {r.label for r in everything if r.role == "known"}
    if len(known) < 2:
        raise UserError(
            f"{sources[0]}: has usable recordings of {len(known)} species, two are needed"
        )
    named = list(zip(sources[1:], (one.recordings for one in further), strict=True))
    noisy = any(r.role == "noise" for r in everything)
    heard_first = list(first.recordings) if noisy else with_noise(first.recordings, cache / "noise")
    recordings, said = split_all(heard_first, named, plan=SplitPlan())
    marks = first.marks
    for one in further:
        marks = marks.joined(one.marks)
    notes = [note for one in (first, *further) for note in one.notes]
    return Study(
        corpus=Corpus(root=first.root, recordings=recordings),
        marks=marks,
        notes=(*notes, *said, *_lacking({r.role for r in everything})),
    )


def _lacking(roles: set[str]) -> list[str]:
    notes = []
    if "noise" not in roles:
        notes.append(
            "there is no noise among the recordings: synthesised hiss, rain, wind, hum, voices"
        )
    if "unknown" not in roles:
        notes.append(
            "there is no unknown species among the recordings: their own are left out in turn, "
            "as far as there are enough"
        )
    return notes


def hear(study: Study, trunk: Bundle, means: Means, *, watch: Watch) -> Heard:
    """Return the study with what the trunk says of it; what it has said once is kept."""
    blank, labels = blank_top(trunk, study.corpus)
    answers, faults = answers_of_all(
        trunk,
        study.corpus.recordings,
        hop_s=means.hop_s,
        workers=means.workers,
        cache=means.cache,
        watch=watch,
    )
    where = (study.corpus, answers.recording, answers.start_s, trunk.frontend.window_s)
    exact = study.marks.exact(study.corpus.recordings)[answers.recording]
    elsewhere = study.marks.elsewhere(*where)
    active = np.where(exact, study.marks.inside(*where), answers.active & ~elsewhere)
    return Heard(
        study=study,
        trunk=trunk,
        labels=labels,
        blank=blank,
        answers=dataclasses.replace(answers, active=active),
        exact=exact,
        elsewhere=elsewhere & ~exact,
        faults=tuple(faults),
    )
