"""Metrics: every one of them moves, has a base unit and a finite set of labels, and promtool has
nothing to say.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edge.detect.model import NOTHING, EngineChoice
from edge.mqtt.reasons import ERROR_REASONS
from edge.recorder.backlog import Backlog
from edge.recorder.metrics import Metrics
from edge.store.outbox import ASIDE_REASONS
from edge.store.outcomes import OUTCOMES
from edge.store.store import Store
from edge.types import Prediction, SignalHealth
from tests.support.backlog import waiting
from tests.support.store import SYNCED, health, payload

HEALTH = SignalHealth(
    rms_dbfs=-40.0, peak_dbfs=-20.0, clip_ratio=0.25, dc=0.01, dead=False, stuck=False
)
JUDGED = Prediction(
    start_sample=0,
    end_sample=8000,
    sample_rate_hz=8000,
    label=None,
    nearest="low_hummer",
    score=0.4,
    novelty=0.9,
    top=(),
    health=HEALTH,
    scores=NOTHING,
    embedding=NOTHING,
    frontend_s=0.01,
    network_s=0.02,
)


BACKLOG = Backlog()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "edge.db", outbox_bytes=3000, history_bytes=10**6) as store:
        yield store


def make(store: Store) -> Metrics:
    metrics = Metrics(CollectorRegistry(), labels=["low_hummer", "high_peeper"])
    metrics.asked.watch_store(lambda: store)
    metrics.asked.watch_backlog(BACKLOG, lambda: store.depth("mqtt")[0] > 0)
    metrics.asked.watch_queue(lambda: 1.5 if store.depth("mqtt")[0] else 0.0)
    return metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Every series with its value, but for the moments at which counters began."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    pairs = (line.rpartition(" ")[::2] for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs if "_created" not in name}


def live(metrics: Metrics, store: Store) -> None:
    """Everything that can happen to a recorder."""
    metrics.digests(bundle="b", config="c", code="d", version="1", device="r1")
    metrics.engine(EngineChoice(backend="onnxruntime-cpu", variant="fp32", passed_over=1))
    metrics.audio({"heard": 50.0, "lost": 4.0, "gated": 3.0, "dropped": 2.0, "private": 1.0})
    metrics.unknown(1.0)
    BACKLOG.add(waiting(1))
    for outcome in OUTCOMES:
        metrics.window(JUDGED, fate="heard", outcome=outcome)
    metrics.window(JUDGED, fate="private")
    gated = replace(JUDGED, health=replace(HEALTH, dead=True, stuck=True))
    metrics.window(gated, fate="gated")
    metrics.cancelled(True)
    metrics.invalid_samples(3)
    metrics.windows_lost(dropped=2, failed=1)
    for label in ("low_hummer", "high_peeper", None):
        metrics.detection(label)
    metrics.detection_lost()
    metrics.stored(0.01)
    metrics.capture_fault()
    metrics.store_error()
    metrics.clock(offset_s=-0.5, synced=True)
    metrics.clip_written(1000)
    metrics.clip_refused()
    metrics.clip_withheld()
    metrics.event_left_out()
    metrics.clips_removed(2)
    metrics.mqtt_connected(True)
    for kind in ERROR_REASONS:
        metrics.mqtt_error(kind)
    for kind in ("detection", "effort", "health"):
        metrics.mqtt_acknowledged(kind, 0.01)
    store.record_health(health(), dating=SYNCED)
    for number, reason in enumerate(ASIDE_REASONS):
        store.record(payload(100 + number), dating=SYNCED)
        store.set_aside("mqtt", store.pending("mqtt", limit=9)[-1], reason)
    for number in range(9):
        store.record(payload(number), dating=SYNCED)


def test_every_metric_moves(store: Store) -> None:
    metrics = make(store)
    before = samples(metrics)
    live(metrics, store)
    after = samples(metrics)
    still = {name for name, value in after.items() if before.get(name) == value}
    # A histogram's lower buckets, and two messages of a kind that never had to be dropped, may
    # rest; memory may be level.
    still = {
        name for name in still if "_bucket" not in name and name != "edge_resident_memory_bytes"
    }
    assert still == {'edge_outbox_dropped_total{kind="effort"}'}
    assert after["edge_resident_memory_bytes"] > 1e6


def test_a_gated_window_took_no_inference(store: Store) -> None:
    metrics = make(store)
    metrics.window(replace(JUDGED, health=replace(HEALTH, dead=True)), fate="gated")
    assert samples(metrics)["edge_inference_seconds_count"] == 0
    metrics.window(JUDGED, fate="heard")
    after = samples(metrics)
    assert (after["edge_frontend_seconds_sum"], after["edge_inference_seconds_sum"]) == (0.01, 0.02)


def test_series_are_there_before_anything_happens(store: Store) -> None:
    metrics = make(store)
    before = set(samples(metrics))
    live(metrics, store)
    assert {
        name
        for name in set(samples(metrics)) - before
        if not name.startswith(("edge_info", "edge_engine_info"))
    } == set()


def test_names_have_the_prefix_and_base_units(store: Store) -> None:
    metrics = make(store)
    for line in generate_latest(metrics.registry).decode().splitlines():
        if line.startswith("# TYPE ") and "_created" not in line:
            _, _, name, kind = line.split()
            assert name.startswith("edge_")
            assert (kind == "counter") == name.endswith("_total")
            assert not re.search(r"_(ms|milliseconds|kb|mb|percent)(_|$)", name)


def test_audio_is_counted_forward_only(store: Store) -> None:
    metrics = make(store)
    metrics.audio({"heard": 5.0})
    metrics.audio({"heard": 7.5})
    metrics.audio({"heard": 7.0})
    assert samples(metrics)['edge_audio_seconds_total{fate="heard"}'] == 7.5
    metrics.stream_began()
    metrics.audio({"heard": 1.0})
    assert samples(metrics)['edge_audio_seconds_total{fate="heard"}'] == 8.5


def test_a_failing_store_takes_only_its_own_numbers_away(store: Store) -> None:
    metrics = make(store)
    store.close()
    after = samples(metrics)
    assert "edge_outbox_rows" not in after
    assert "edge_mqtt_connected" in after


def test_the_info_is_of_digests(store: Store) -> None:
    metrics = make(store)
    metrics.digests(bundle="b", config="c")
    assert (
        'edge_info{bundle="b",code="",config="c",device="",version=""} 1.0'
        in generate_latest(metrics.registry).decode()
    )


@pytest.mark.promtool
def test_promtool_has_nothing_to_say(store: Store) -> None:
    metrics = make(store)
    live(metrics, store)
    text = generate_latest(metrics.registry)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
