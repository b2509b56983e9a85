"""From a study's recordings to a head on a trunk: hear, choose windows, fit, calibrate, judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Label
from edge.bundle.probability import ScoreCalibration
from edge.bundle.top import Top
from edge.errors import UserError
from train.adapting.answers import Answers, answers_of_all
from train.adapting.fitting import fit_top
from train.adapting.turns import events_in_turns
from train.adapting.windows import holding
from train.corpus.corpus import Corpus, Recording
from train.corpus.prepare import usable_recordings
from train.corpus.readers import read_listing
from train.corpus.species_match import Names
from train.corpus.splits import SplitPlan, split_recordings
from train.corpus.synthesised import with_noise
from train.judging.calibrate_head import calibrate_head
from train.judging.calibration import Calibration
from train.judging.crossfit import BY_FOLDS
from train.judging.evaluate import evaluate
from train.judging.events import events_in
from train.judging.probability import NO_PROBABILITY, scores_of
from train.judging.probability_report import measure_probability
from train.windows.listening import Watch
from train.windows.outputs import WindowOutputs

__all__ = ["Adapted", "Means", "adapt"]

VALIDATION = 0  # the fold


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A head that was made: its labels, top and calibration, and what it was made from.

    `report` is that of `train.judging.evaluate`. `scores` says how likely a label is right, None
    where there are too few events. `notes` say what was not as it should be.
    """

    corpus: Corpus
    labels: tuple[Label, ...]
    top: Top
    calibration: Calibration
    report: dict[str, Any]
    scores: ScoreCalibration | None
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Means:
    """How a head is made: windows every `hop_s`, heard by `workers` processes and kept in `cache`;
    the rule of rejection lets `acceptance` of the known windows of validation pass; the report of
    the test goes into `report_dir`.
    """

    hop_s: float
    workers: int
    cache: Path
    acceptance: float
    report_dir: Path


def adapt(
    data: Path, trunk: Bundle, means: Means, *, say: Callable[[str], None], watch: Watch
) -> Adapted:
    """Make a head for the known species that `data` lists, on the network of `trunk`.

    Recordings for validation and for the test are kept apart, by recordist. `say` is told of each
    stage, `watch` sees the recordings pass. Raises `UserError` where nothing can be learnt.
    """
    corpus, notes = _corpus(data, means.cache, workers=means.workers)
    names = [label.label for label in corpus.labels]
    blank, labels = _blank(trunk, corpus)
    say(f"{len(names)} species, of which {trunk.manifest.name} has {int((blank.own >= 0).sum())}")
    answers, faults = answers_of_all(
        trunk,
        corpus.recordings,
        hop_s=means.hop_s,
        workers=means.workers,
        cache=means.cache,
        watch=watch,
    )
    say("fitting")
    top = _fitted(blank, corpus, answers, names)
    say("calibrating and judging")
    validation, test = _halves(corpus, answers, top)
    calibration = calibrate_head(corpus, validation, acceptance=means.acceptance)
    window_s = trunk.frontend.window_s
    scores = _scores(corpus, blank, answers, means, window_s=window_s)
    tested = events_in(corpus, test, calibration.head, window_s=window_s)
    more = {"probability": measure_probability(scores, tested, names)}
    notes += [f"left out: {name} ({reason})" for name, reason in faults]
    return Adapted(
        corpus=corpus,
        labels=labels,
        top=top,
        calibration=calibration,
        report=evaluate(corpus, test, calibration, more=more, out_dir=means.report_dir),
        scores=scores,
        notes=(*notes, *([] if scores else [NO_PROBABILITY])),
    )


def _scores(
    corpus: Corpus, blank: Top, answers: Answers, means: Means, *, window_s: float
) -> ScoreCalibration | None:
    """Return how likely labels are right, by heads made as this one without a fold each."""
    names = [label.label for label in corpus.labels]
    events = events_in_turns(
        corpus,
        lambda turn: _halves(turn, answers, _fitted(blank, turn, answers, names, whole=False)),
        acceptance=means.acceptance,
        window_s=window_s,
    )
    return scores_of(events, corpus.of(split="dev"), names, method=BY_FOLDS)


def _halves(corpus: Corpus, answers: Answers, top: Top) -> tuple[WindowOutputs, WindowOutputs]:
    """Return what a head with this top says of validation, and of the test."""
    names = [label.label for label in corpus.labels]
    validation, test = (
        _outputs(answers.select(_of(corpus, part)[answers.recording]), top, names)
        for part in (lambda r: r.fold == VALIDATION, lambda r: r.split == "test")
    )
    return validation, test


def _fitted(
    blank: Top, corpus: Corpus, answers: Answers, names: Sequence[str], *, whole: bool = True
) -> Top:
    """Return the top, fitted to the windows of the folds that train: `whole`, to all labels."""
    species = _species(corpus, names)[answers.recording]
    animals = _of(corpus, lambda r: r.role in ("known", "unknown"))[answers.recording]
    training = holding(answers, species, animals, blank)
    training &= _of(corpus, lambda r: r.fold > VALIDATION)[answers.recording]
    lacking = set(range(len(names))) - set(species[training].tolist())
    if lacking and whole:
        name = names[min(lacking)]
        raise UserError(f"{corpus.root}: there is no recording to learn {name} from")
    chosen = answers.select(training)
    logits = chosen.logits.astype(np.float32)
    return fit_top(blank, chosen.embedding, logits, species[training], labels=names)


def _corpus(data: Path, cache: Path, *, workers: int) -> tuple[Corpus, list[str]]:
    """Return the usable recordings, split by recordist, and what is to be said of them."""
    listing = read_listing(data)
    usable, quarantine = usable_recordings(listing, workers=workers)
    notes = [f"left out: {q.recording.path.name} ({q.reason})" for q in quarantine]
    known = {r.label for r in usable if r.role == "known"}
    if len(known) < 2:
        raise UserError(f"{data}: has usable recordings of {len(known)} species, two are needed")
    roles = {r.role for r in usable}
    usable = with_noise(usable, cache / "noise")
    if "noise" not in roles:
        notes.append(
            "there is no noise among the recordings: synthesised hiss, rain, wind, hum, voices"
        )
    if "unknown" not in roles:
        notes.append(
            "there is no unknown species among the recordings: how well others are rejected was "
            "not measured"
        )
    recordings = tuple(split_recordings(usable, SplitPlan()))
    return Corpus(root=listing.root, recordings=recordings), notes


def _blank(trunk: Bundle, corpus: Corpus) -> tuple[Top, tuple[Label, ...]]:
    """Return the top that knows what its trunk has and nothing else, and the head's labels."""
    names = Names(trunk.labels)
    first = {r.label: r for r in reversed(corpus.of(role="known"))}
    own = [names.position(first[label.label]) for label in corpus.labels]
    labels = tuple(
        _called(label, trunk.labels[k] if k >= 0 else None)
        for label, k in zip(corpus.labels, own, strict=True)
    )
    animals = [k for k, label in enumerate(trunk.labels) if label.kind == "animal"]
    dimensions = len(trunk.golden.embedding)
    return (
        Top(
            weights=np.zeros((dimensions, len(own)), np.float32),
            bias=np.zeros(len(own), np.float32),
            gain=1.0,
            own=np.array(own, np.int64),
            others=np.array(sorted(set(animals) - set(own)), np.int64),
        ),
        labels,
    )


def _called(label: Label, same: Label | None) -> Label:
    """Return a label with the names that the trunk has for the same species."""
    if same is None:
        return label
    return dataclasses.replace(
        label,
        scientific_name=label.scientific_name or same.scientific_name,
        names=same.names,
    )


def _species(corpus: Corpus, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each recording's label, -1 for none of them."""
    positions = {name: k for k, name in enumerate(names)}
    return np.array(
        [positions[r.label] if r.role == "known" else -1 for r in corpus.recordings], np.int64
    )


def _of(corpus: Corpus, part: Callable[[Recording], bool]) -> NDArray[np.bool_]:
    return np.array([part(r) for r in corpus.recordings], bool)


def _outputs(answers: Answers, top: Top, names: Sequence[str]) -> WindowOutputs:
    """Return what the head says of windows, as judging takes it."""
    looked_at, logits = top(answers.embedding, answers.logits.astype(np.float32))
    return WindowOutputs(
        recording=answers.recording,
        start_s=answers.start_s,
        active=answers.active,
        embedding=looked_at,
        logits=logits,
        labels=tuple(names),
    )
