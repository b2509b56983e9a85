"""A recorder's store and clips as they are after some days, without waiting for them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Label
from edge.clock import Clock, rfc3339
from edge.provenance import Provenance
from edge.recorder.clip_file import encode, guano
from edge.recorder.recent_audio import Excerpt
from edge.signal import SignalHealth
from edge.store.effort import EffortMinute
from edge.store.store import Store
from edge.types import Detection
from tests.support.daemons import write_config
from tests.support.store import SYNCED, payload

__all__ = [
    "NETWORK",
    "NOW",
    "RATE_HZ",
    "SPECIES",
    "afternoon_zone",
    "fill",
    "heard_recorder",
    "record_event",
]

NOW = datetime(2026, 5, 3, 15, 30, tzinfo=timezone.utc)
RATE_HZ = 22_050
PADDING_S = 2.0
NETWORK = "f4" * 32
UNKNOWN_KINDS, DIMENSIONS = 3, 16
SPECIES = {
    "spring_peeper": ("Spring Peeper", "Pseudacris crucifer", 2900.0),
    "great_tit": ("Great Tit", "Parus major", 4600.0),
    "eurasian_wren": ("Eurasian Wren", "Troglodytes troglodytes", 5600.0),
    "little_owl": ("Little Owl", "Athene noctua", 1100.0),
    "american_toad": ("American Toad", "Anaxyrus americanus", 1700.0),
    "carrion_crow": ("Carrion Crow", "Corvus corone", 1400.0),
}
HEALTH: dict[str, Any] = {
    "rms_dbfs": -41.5,
    "peak_dbfs": -12.0,
    "clip_ratio": 0.0,
    "dc": 0.001,
    "dead": False,
    "stuck": False,
}
WHAT = Provenance(
    bundle="b0" * 32,
    config="c1" * 32,
    code="d2" * 32,
    labels={key: Label(label=key, common_name=name[0]) for key, name in SPECIES.items()},
    backend="onnx",
    variant="fp32",
)


def heard_recorder(folder: Path, *, now: datetime = NOW, days: int = 2, clips: int = 6) -> Path:
    """Make store, clips and configuration of a recorder below `folder`; return the latter.

    It has heard for `days` up to `now`, an afternoon in its time zone, was deaf for an hour each
    day, and the last `clips` events of the last day have their sound.
    """
    site = {"timezone": afternoon_zone(now)}
    config = write_config(folder, folder, clips={"folder": str(folder / "clips")}, site=site)
    with Store(folder / "edge.db", outbox_bytes=10**7, history_bytes=10**9) as store:
        store._db.execute("PRAGMA synchronous = OFF")  # thousands of rows at once
        fill(store, folder / "clips", now=now, days=days, clips=clips)
    return config


def afternoon_zone(now: datetime) -> str:
    """Return a time zone in which today has had its events, at whatever time a test runs."""
    east = (NOW.hour - now.astimezone(timezone.utc).hour + 12) % 24 - 12
    return f"Etc/GMT{-east:+d}" if east else "UTC"


def fill(store: Store, clips_folder: Path, *, now: datetime, days: int, clips: int) -> None:
    """Record some days of events and minutes."""
    dice = random.Random(7)
    local = now.astimezone(ZoneInfo(afternoon_zone(now)))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    begin = midnight - timedelta(days=days - 1)
    minutes = int((now - begin).total_seconds() // 60)
    events: list[datetime] = []
    for minute in range(minutes):
        at = begin + timedelta(minutes=minute)
        deaf = at.hour == 11
        _minute(store, minute, at, deaf=deaf)
        dawn = at.hour in (4, 5, 6, 7, 19, 20)
        if not deaf and dice.random() < (0.25 if dawn else 0.03):
            events.append(at + timedelta(seconds=dice.uniform(0, 50)))
    _minute(store, minutes, begin + timedelta(minutes=minutes), deaf=False)
    for number, at in enumerate(events):
        label = None if number % 5 == 4 else dice.choice(list(SPECIES))
        sound = number >= len(events) - clips
        score = round(dice.uniform(0.5, 0.99), 3)
        record_event(store, number, at, label, clips_folder if sound else None, score=score)
    for minute in range(120):
        time_utc = rfc3339(now - timedelta(minutes=120 - minute))
        level = {**HEALTH, "rms_dbfs": -42 + 4 * float(np.sin(minute / 9)), "time_utc": time_utc}
        clock = {"source": "system", "synced": True, "uncertainty_s": 0.01}
        store.record_health({**level, "clock": clock}, dating=SYNCED)


def record_event(
    store: Store,
    number: int,
    at: datetime,
    label: str | None,
    clips_folder: Path | None = None,
    **changed: Any,
) -> dict[str, Any]:
    """Record an event of 3 s as new and ended, with its sound below a folder; return the end."""
    start = number * 100 * RATE_HZ
    common, scientific, _ = SPECIES.get(label or "", (None, None, 0.0))
    fields: dict[str, Any] = {
        "label": label,
        "common_name": common,
        "scientific_name": scientific,
        "kind": "animal" if label else None,
        "outcome": "label" if label else "unknown",
        "nearest": label or "little_owl",
        "novelty": 0.2 if label else 0.8,
        **({"probability": 0.87, "calibration": "e3" * 32} if label else {}),
        "top": [
            {"label": label or "little_owl", "score": 0.9},
            {"label": "great_tit", "score": 0.1},
        ],
        "start_sample": start,
        "end_sample": start + 3 * RATE_HZ,
        "start_utc": rfc3339(at),
        "end_utc": rfc3339(at + timedelta(seconds=3)),
        "health": HEALTH,
        "bundle": WHAT.bundle,
        "config": WHAT.config,
        "code": WHAT.code,
        "variant": "fp32",
        "backend": "onnx",
        **changed,
    }
    for state in ("new", "end"):
        message = payload(number, state=state, **fields)
        if state == "end" and clips_folder is not None:
            message["clip"] = write_clip(clips_folder, message, at)
        store.record(message, dating=SYNCED, embedding=_embedding(number), network=NETWORK)
    return message


def _embedding(number: int) -> NDArray[np.float32]:
    """Return what a network would say of an event: near to others of its kind, far from all else.

    One in five is of no kind at all.
    """
    kind = None if number % 25 == 24 else number // 5 % UNKNOWN_KINDS
    own = np.random.default_rng(number).standard_normal(DIMENSIONS)
    shared = np.zeros(DIMENSIONS) if kind is None else np.eye(UNKNOWN_KINDS, DIMENSIONS)[kind]
    return (shared + (0.5 if kind is None else 0.02) * own).astype(np.float32)


def write_clip(folder: Path, message: dict[str, Any], at: datetime) -> str:
    """Write the clip of an event as a recorder does; return its path below `folder`."""
    begin = message["start_sample"] - round(PADDING_S * RATE_HZ)
    excerpt = Excerpt(parts=(_call(message["label"]),), sample_rate_hz=RATE_HZ, start_sample=begin)
    clock = Clock(
        start_utc=at - timedelta(seconds=message["start_sample"] / RATE_HZ),
        sample_rate_hz=RATE_HZ,
        source="system",
        synced=True,
        uncertainty_s=0.01,
    )
    event = Detection(
        id=message["id"],
        state="end",
        label=message["label"],
        nearest=message["nearest"],
        score=message["score"],
        novelty=message["novelty"],
        top=(),
        start_sample=message["start_sample"],
        end_sample=message["end_sample"],
        peak_sample=message["start_sample"],
        sample_rate_hz=RATE_HZ,
        windows=1,
        health=SignalHealth(**HEALTH),
        embedding=np.zeros(1, np.float32),
    )
    text = guano(event, excerpt, clock=clock, device="pond", position=None, provenance=WHAT)
    stamp = clock.utc(begin).strftime("%Y%m%dT%H%M%S.%fZ")
    name = f"{message['label'] or 'unknown'}/{stamp}_{message['id'][:12]}.flac"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as file:
        file.writelines(encode(excerpt, "flac", text))
    return name


def _minute(store: Store, number: int, at: datetime, *, deaf: bool) -> None:
    start = number * 60 * RATE_HZ
    samples = 60 * RATE_HZ
    minute = EffortMinute(
        start_sample=start,
        end_sample=start + samples,
        sample_rate_hz=RATE_HZ,
        heard=0 if deaf else samples,
        lost=samples if deaf else 0,
    )
    store.record_effort(minute, {"start_utc": rfc3339(at)}, stream="pond|s|1", dating=SYNCED)


def _call(label: str | None) -> NDArray[np.int16]:
    """Return 7 s of soft noise with pulses of a tone from 2 s to 5 s."""
    dice = np.random.default_rng(3)
    time_s = np.arange(7 * RATE_HZ) / RATE_HZ
    sound = 0.01 * dice.standard_normal(len(time_s))
    tone_hz = SPECIES[label][2] if label else 3300.0
    during = (time_s >= PADDING_S) & (time_s < PADDING_S + 3)
    pulses = np.sin(2 * np.pi * 4 * time_s) > 0
    sweep = tone_hz * (1 + 0.05 * np.sin(2 * np.pi * 2 * time_s))
    sound += 0.3 * during * pulses * np.sin(2 * np.pi * np.cumsum(sweep) / RATE_HZ)
    return (sound * 32_000).clip(-32_768, 32_767).astype(np.int16)
