"""Faults of a recorder as its store and disk show them, told once each when they begin and end.

What flaps must not storm: evidence for a fault grows while it shows and shrinks while it does not.
It is told when the evidence is as long as configured, and over when none is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from edge.config.notify import NotifyConfig
from edge.page.status import disk_of
from edge.store.summary import Summary

__all__ = ["FAULTS", "Course", "Fault", "Told", "faults_now", "is_deaf", "next_course"]

Fault = Literal["microphone", "recorder", "disk"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
Told = Literal["begun", "over"]
LONGEST_STEP_S = 60.0  # of evidence at once: nobody looked for longer, or the clock has jumped
LEAST_S = 60.0  # of the ledger, of which nothing was heard
NEWEST_MINUTES = """
SELECT heard_s + dropped_s + private_s, lost_s + gated_s FROM effort ORDER BY number DESC LIMIT 3
"""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a fault goes: seconds of evidence, when it began to show, and what was told when."""

    evidence_s: float = 0.0
    looked: datetime | None = None
    since: datetime | None = None
    told: bool = False
    told_at: datetime | None = None


def next_course(
    course: Course, shows: bool, *, now: datetime, config: NotifyConfig
) -> tuple[Course, Told | None]:
    """Return how a fault goes on now that it `shows` or does not, and what is to be told."""
    step_s = 0.0 if course.looked is None else (now - course.looked).total_seconds()
    step_s = min(max(step_s, 0.0), LONGEST_STEP_S)
    evidence_s = course.evidence_s + (step_s if shows else -step_s)
    evidence_s = min(max(evidence_s, 0.0), config.after_s)
    since = course.since
    if shows and (since is None or since > now):
        since = now
    course = replace(course, evidence_s=evidence_s, looked=now, since=since)
    if course.told and not shows and evidence_s == 0.0:
        return replace(course, told=False), "over"
    if shows and not course.told and evidence_s >= config.after_s and _due(course, now, config):
        return replace(course, told=True, told_at=now), "begun"
    if not course.told and not shows and evidence_s == 0.0:
        course = replace(course, since=None)
    return course, None


def _due(course: Course, now: datetime, config: NotifyConfig) -> bool:
    interval = timedelta(seconds=config.every_s)
    return course.told_at is None or abs(now - course.told_at) >= interval


def faults_now(
    summary: Summary | None, deaf: bool | None, *, folder: Path, config: NotifyConfig
) -> Mapping[Fault, bool | None]:
    """Return which faults show; None of one that nothing is known of now, or nobody asks about.

    `summary` is that of the store, None where it cannot be read; `deaf` is that of its ledger.
    """
    _, free = disk_of(folder)
    full = None if free is None else free < config.disk_free_bytes
    silent = None if summary is None or summary.until is None else not summary.listening
    return {
        "microphone": deaf if config.microphone and silent is False else None,
        "recorder": silent if config.recorder else None,
        "disk": full if config.disk_free_bytes else None,
    }


def is_deaf(db: sqlite3.Connection) -> bool | None:
    """Return whether the last minutes of the ledger have no sound; None where they say nothing."""
    heard_s = deaf_s = 0.0
    for heard, deaf in db.execute(NEWEST_MINUTES):
        if not all(isinstance(value, int | float) for value in (heard, deaf)):
            return None
        heard_s, deaf_s = heard_s + heard, deaf_s + deaf
        if heard_s + deaf_s >= LEAST_S:
            return bool(heard_s == 0.0)
    return None
