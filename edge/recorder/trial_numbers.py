"""The numbers by which the first hour of a head is judged, as metrics and store have them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from edge.heads.trial import Tally, TrialRules
from edge.recorder.metrics import Metrics
from edge.store.day_before import day_before
from edge.store.store import Store

__all__ = ["most_events", "tally_of"]

JUDGED = ("judged", "private")
log = logging.getLogger(__name__)


def tally_of(metrics: Metrics) -> Tally:
    """Return what was counted since the start of the program."""
    windows = dict(_samples(metrics, "edge_windows_total", "outcome"))
    return Tally(
        judged=sum(windows[outcome] for outcome in JUDGED),
        failed=windows["failed"],
        events=sum(count for _, count in _samples(metrics, "edge_detections_total", "label")),
    )


def _samples(metrics: Metrics, name: str, label: str) -> Iterator[tuple[str, int]]:
    for family in metrics.registry.restricted_registry([name]).collect():
        for sample in family.samples:
            yield sample.labels[label], round(sample.value)


def most_events(store: Store, now: datetime, rules: TrialRules) -> int | None:
    """Return above how many events in its first hour a head gives too many.

    None, which the log says, where there is no day before to compare with.
    """
    day = day_before(store, now)
    if day is None or day.heard_s < rules.least_heard_s:
        heard_s = 0.0 if day is None else day.heard_s
        text = "only %.1f h of the day before were heard: the new head's events are not compared"
        log.warning(text, heard_s / 3600.0)
        return None
    return max(rules.least_events, round(rules.times * day.events_an_hour))
