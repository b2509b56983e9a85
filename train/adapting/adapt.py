"""From a study's recordings to a head on a trunk: hear, choose windows, fit, calibrate, judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle import Bundle, Label
from edge.bundle.top import Top
from train.adapting.study import Heard, Means, Study, gather_study, hear
from train.adapting.tops import Fitted, fit_study
from train.judging.calibration import Calibration
from train.judging.evaluate import evaluate
from train.windows.listening import Watch

__all__ = ["Adapted", "adapt", "judged", "learn"]


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A head that was made: its labels, top and calibration, and what it was made from.

    `report` is that of `train.judging.evaluate`. `notes` say what was not as it should be,
    `changes` what was done to the head since it was first made, with the figures before and after.
    `kind` is that of its top, `kinds` have a row for each that was tried.
    """

    study: Study
    labels: tuple[Label, ...]
    kind: str
    top: Top
    calibration: Calibration
    report: dict[str, Any]
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
    study = heard.study
    test = heard.outputs(heard.of(lambda r: r.split == "test"), fitted.top)
    return Adapted(
        study=study,
        labels=heard.labels,
        kind=fitted.kind,
        top=fitted.top,
        calibration=fitted.calibration,
        report=evaluate(study.corpus, test, fitted.calibration, out_dir=means.report_dir),
        kinds=fitted.table,
        notes=(*study.notes, *(f"left out: {name} ({reason})" for name, reason in heard.faults)),
    )
