"""What must hold of a recorder after any faults: of its store, its clips and its subscriber."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile

from edge.errors import AudioError
from edge.sources.header import audio_facts

__all__ = ["Audit", "audit"]

FATES = ("heard", "lost", "gated", "dropped", "private")
KNOWN = " + ".join(f"sum({fate}_s)" for fate in FATES)
MAY_LACK = 0.01  # of the elapsed time
# How far the first sample and the last may be from where the clock was read.
MEASURED_WITHIN_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found; `faults` is empty where all holds."""

    events: int
    messages: int
    doubled: int
    waiting: int
    interrupted: int
    clips: int
    clips_gone: int
    elapsed_s: float
    ledger_s: float
    by_fate: dict[str, float]
    faults: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the figures, and what does not hold."""
        yield f"events      {self.events}, {self.interrupted} of them ended by the next start"
        twice = f"{self.doubled} came more than once"
        yield f"messages    {self.messages} acknowledged, {twice}; {self.waiting} wait"
        yield f"clips       {self.clips}; {self.clips_gone} had to make room on the full disk"
        off = 100 * (self.ledger_s / self.elapsed_s - 1)
        fates = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.by_fate.items())
        yield f"ledger      {self.ledger_s:.1f} of {self.elapsed_s:.1f} s ({off:+.2f} %): {fates}"
        yield from (f"FAULT       {fault}" for fault in self.faults)


def audit(
    store: Path, clips: Path, received: Sequence[dict[str, Any]], *, elapsed_s: float
) -> Audit:
    """Look through what a recorder has left behind; `received` are its detections at a client."""
    with closing(sqlite3.connect(store)) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
        rows = [
            (json.loads(text), sent)
            for text, sent in db.execute("SELECT payload, sent FROM detections ORDER BY number")
        ]
        waiting = {key for (key,) in db.execute("SELECT key FROM outbox WHERE kind = 'detection'")}
        values = db.execute(
            f"SELECT {', '.join(f'sum({fate}_s)' for fate in FATES)}, "
            "sum((end_sample - start_sample) * 1.0 / sample_rate_hz), "
            "sum(CASE WHEN heard_s + lost_s + gated_s + dropped_s + private_s = 0 "
            "THEN (end_sample - start_sample) * 1.0 / sample_rate_hz ELSE 0 END) FROM effort"
        ).fetchone()
    *known, ledger_s, unknown_s = values
    kept = [payload for payload, _ in rows]
    faults = [] if whole == "ok" else [f"the store is not whole: {whole}"]
    faults += _ends(kept) + _delivered(rows, waiting, received)
    faults += _clip_faults(clips)
    if abs(sum(known) + unknown_s - ledger_s) > 0.01:
        faults.append(f"the ledger has {sum(known) + unknown_s} s in {ledger_s} s")
    if abs(ledger_s - elapsed_s) > MAY_LACK * elapsed_s + MEASURED_WITHIN_S:
        faults.append(f"the ledger has {ledger_s:.1f} s, and {elapsed_s:.1f} s went by")
    keys = [_key(payload) for payload in received]
    named = {payload["clip"] for payload in kept if payload.get("clip")}
    return Audit(
        events=len({payload["id"] for payload in kept}),
        messages=len(set(keys)),
        doubled=len(keys) - len(set(keys)),
        waiting=len(waiting),
        interrupted=sum("interrupted" in payload for payload in kept),
        clips=len(list(clips.glob("*/*"))),
        clips_gone=sum(not (clips / name).exists() for name in named),
        elapsed_s=elapsed_s,
        ledger_s=ledger_s,
        by_fate={**dict(zip(FATES, known, strict=True)), "unknown": unknown_s},
        faults=faults,
    )


def _ends(kept: Sequence[dict[str, Any]]) -> list[str]:
    """Every event has a beginning and one end."""
    states = defaultdict(list)
    for payload in kept:
        states[payload["id"]].append(payload["state"])
    return [
        f"the event {id} has the states {found}"
        for id, found in states.items()
        if found.count("end") != 1 or found.count("new") != 1
    ]


def _delivered(
    rows: Sequence[tuple[dict[str, Any], int]],
    waiting: set[str],
    received: Sequence[dict[str, Any]],
) -> list[str]:
    """Every event is acknowledged or waits, and whoever counts by id and state counts it once."""
    came = {_key(payload) for payload in received}
    faults = [
        f"{payload['id']}/{payload['state']} is neither acknowledged nor does it wait"
        for payload, sent in rows
        if not sent and f"{payload['id']}/{payload['state']}" not in waiting
    ]
    faults += [
        f"{payload['id']}/{payload['state']} was acknowledged and never came"
        for payload, sent in rows
        if sent and payload["state"] != "update" and _key(payload) not in came
    ]
    stored = {_key(payload) for payload, _ in rows}
    strangers = {key for key in came if key[1] != "update"} - stored
    faults += [f"{id}/{state} came and is not in the store" for id, state in strangers]
    ends = defaultdict(set)
    for payload in received:
        if payload["state"] == "end":
            ends[payload["id"]].add((payload["start_sample"], payload["end_sample"]))
    return faults + [f"the event {id} ended twice: {at}" for id, at in ends.items() if len(at) > 1]


def _clip_faults(clips: Path) -> list[str]:
    """Every clip is whole and says what it is."""
    faults = []
    for file in sorted(clips.glob("*/*")):
        try:
            samples, _ = soundfile.read(file)
            if not len(samples) or not list(audio_facts(str(file)).metadata.starts()):
                faults.append(f"the clip {file.name} is empty or does not say what it is")
        except (RuntimeError, OSError, AudioError) as exc:
            faults.append(f"the clip {file.name} is not whole: {exc}")
    return faults


def _key(payload: dict[str, Any]) -> tuple[str, str]:
    return payload["id"], payload["state"]
