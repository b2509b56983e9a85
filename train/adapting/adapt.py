"""From a study's recordings to a head on a trunk: hear, choose windows, fit, calibrate, judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle import Bundle, Label
from edge.bundle.probability import ScoreCalibration
from edge.bundle.top import Top
from train.adapting.animal import head_animal_rule, outcomes_on
from train.adapting.study import Heard, Means, Study, gather_study, hear
from train.adapting.tops import Fitted, fit_study
from train.judging.calibrate_head import calibrate_head
from train.judging.calibration import Calibration
from train.judging.crossfit import BY_BOTH, held_out_events
from train.judging.evaluate import evaluate
from train.judging.events import events_in
from train.judging.judged import judge_windows
from train.judging.left_out import measure_turns, stand_ins
from train.judging.probability import NO_PROBABILITY, scores_of
from train.judging.probability_report import measure_probability
from train.judging.truth import truth_of
from train.windows.listening import Watch

__all__ = ["Adapted", "adapt", "judged", "learn"]


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A head that was made: its labels, top and calibration, and what it was made from.

    `report` is that of `train.judging.evaluate`. `notes` say what was not as it should be,
    `changes` what was done to the head since it was first made, with the figures before and after.
    `kind` is that of its top, `kinds` have a row for each that was tried. `scores` says how likely
    a label is right, None where there are too few events.
    """

    study: Study
    labels: tuple[Label, ...]
    kind: str
    top: Top
    calibration: Calibration
    report: dict[str, Any]
    scores: ScoreCalibration | None = None
    kinds: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def adapt(
    sources: Sequence[Path],
    trunk: Bundle,
    means: Means,
    *,
    say: Callable[[str], None],
    watch: Watch,
) -> Adapted:
    """Make a head for the known species that `sources` list, on the network of `trunk`.

    Recordings for validation and for the test are kept apart, by recordist. `say` is told of each
    stage, `watch` sees the recordings pass. Raises `UserError` where nothing can be learnt.
    """
    study = gather_study(sources, means.cache, workers=means.workers)
    return learn(study, trunk, means, say=say, watch=watch)


def learn(
    study: Study, trunk: Bundle, means: Means, *, say: Callable[[str], None], watch: Watch
) -> Adapted:
    """Make a head of a study whose recordings are split; else as `adapt`."""
    heard = hear(study, trunk, means, watch=watch)
    own = int((heard.blank.own >= 0).sum())
    say(f"{len(heard.labels)} species, of which {trunk.manifest.name} has {own}")
    fitted = fit_study(heard, means.head, acceptance=means.acceptance, say=say)
    say("judging")
    return judged(heard, fitted, means)


def judged(heard: Heard, fitted: Fitted, means: Means) -> Adapted:
    """Return what was fitted, judged on the test split."""
    study, names = heard.study, heard.study.names
    mask = heard.of(lambda r: r.split == "test")
    test = heard.outputs(mask, fitted.top)
    scores = head_scores(heard, fitted, acceptance=means.acceptance)
    rule = head_animal_rule(
        heard.trunk, study.corpus, heard.answers.select(fitted.positions), fitted.held_out
    )
    tested = events_in(
        study.corpus, test, fitted.calibration.head, window_s=heard.trunk.frontend.window_s
    )
    more = {
        "probability": measure_probability(scores, tested, names),
        "stand_ins": stand_ins(study.corpus, fitted.turns),
        "left_out": measure_turns(fitted.turns, fitted.calibrations, fitted.calibration.chosen),
        **outcomes_on(
            heard.trunk,
            rule,
            heard.answers.select(mask),
            judge_windows(test, truth_of(study.corpus, test), fitted.calibration.head),
        ),
    }
    calibration = dataclasses.replace(fitted.calibration, animal=rule)
    faults = [f"left out: {name} ({reason})" for name, reason in heard.faults]
    return Adapted(
        study=study,
        labels=heard.labels,
        kind=fitted.kind,
        top=fitted.top,
        calibration=calibration,
        report=evaluate(
            study.corpus, test, fitted.calibration, more=more, out_dir=means.report_dir
        ),
        scores=scores,
        kinds=fitted.table,
        notes=(*study.notes, *faults, *([] if scores else [NO_PROBABILITY])),
    )


def head_scores(heard: Heard, fitted: Fitted, *, acceptance: float) -> ScoreCalibration | None:
    """Return how likely labels are right, by windows that a top was fitted without.

    Thresholds are chosen without them, too, part by part of the recordists.
    """
    corpus = heard.study.corpus
    events = held_out_events(
        corpus,
        fitted.held_out,
        lambda outputs: calibrate_head(
            corpus,
            outputs,
            acceptance=acceptance,
            turns=fitted.calibrations,
            extra=heard.blank.extra,
        ),
        window_s=heard.trunk.frontend.window_s,
    )
    return scores_of(events, corpus.of(split="dev"), heard.study.names, method=BY_BOTH)
